"""The secrets that people have stored: encrypted in the database, opened in memory."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from pydantic import SecretStr

from bot.agents.access.encryption import CannotDecrypt, Cipher
from bot.agents.ports.store import Store
from bot.domain.agent import (
    Agent,
    RepoRef,
    SecretScope,
)
from bot.domain.policy import Audit
from bot.domain.secrets import (
    MAX_VARIABLES_OF_A_PLACE,
    ModelKey,
    SecretEntry,
    SecretKind,
    SecretRef,
    checked_value,
    narrowest,
)
from bot.errors import ConfigurationError, InvalidCommand
from bot.redaction import Redactor, worth_hiding

logger = logging.getLogger(__name__)

_TYPED = "typed into a form"


class Secrets:
    """Implements the Credentials port. Values leave it for the gateway and the bridges alone."""

    def __init__(
        self,
        store: Store,
        cipher: Cipher,
        redact: Redactor,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._rows = store.secret_rows
        self._cipher = cipher
        self._redact = redact
        self._clock = clock
        self._held: dict[SecretRef, tuple[SecretEntry, str]] = {}
        # Raises ModelUnusable when the provider refuses a key.
        self.check_key: Callable[[SecretStr], Awaitable[None]] | None = None

    async def open(self) -> None:
        """Reads what is stored, and encrypts anew what an older key had encrypted.

        Raises ConfigurationError when a key is missing.
        """
        for entry, ciphertext in await self._rows.all():
            try:
                value = self._cipher.decrypt(ciphertext, str(entry.ref))
            except CannotDecrypt as error:
                raise ConfigurationError(
                    "The stored secrets cannot be decrypted: the key is not the one that they were "
                    "stored with. Put that one back into DATA_DIR/secrets.key, or into SECRETS_KEY "
                    "after the new one with a comma between. If it is lost for good, run "
                    "`threadsmith forget-secrets` and have people store them again."
                ) from error
            self._hold(entry, value)
            if not self._cipher.is_current(ciphertext):
                logger.info("a secret is encrypted anew with the first key")
                await self._rows.encrypt_anew(
                    entry.ref, self._cipher.encrypt(value, str(entry.ref))
                )

    def seal(self, typed: str) -> str:
        """Encrypts what was typed into a form, for its way through the inbox."""
        return self._cipher.encrypt(typed, _TYPED)

    async def put(self, ref: SecretRef, sealed: str, actor: str, *, exposed: bool) -> SecretEntry:
        """Stores what `seal` made; it replaces what was stored there.

        A model key is tried at the provider first. Raises InvalidCommand or ModelUnusable.
        """
        try:
            value = checked_value(self._cipher.decrypt(sealed, _TYPED))
        except CannotDecrypt as error:
            raise InvalidCommand("The form is too old. Open it again.") from error
        self._check_room(ref)
        if ref.kind is SecretKind.MODEL_KEY and self.check_key:
            await self.check_key(SecretStr(value))
        now = self._clock()
        exposed = exposed and ref.kind is SecretKind.VARIABLE
        entry = SecretEntry(ref, exposed, actor, now)
        audit = Audit(now, actor, "secret.set", str(ref), "exposed to tools" if exposed else "done")
        await self._rows.put(entry, self._cipher.encrypt(value, str(ref)), audit)
        self._hold(entry, value)
        return entry

    async def remove(self, ref: SecretRef, actor: str) -> bool:
        """Forgets a secret; False when there is none. It stays hidden until the next start."""
        audit = Audit(self._clock(), actor, "secret.remove", str(ref), "done")
        removed = await self._rows.remove(ref, audit)
        self._held.pop(ref, None)
        return removed

    def entries(self, team: str) -> Sequence[SecretEntry]:
        """Returns the secrets of this workspace without their values, the oldest first."""
        entries = (entry for entry, _ in self._held.values())
        return sorted(
            (entry for entry in entries if entry.ref.team == team), key=lambda entry: entry.at
        )

    async def model_key(self, agent_id: str) -> ModelKey | None:
        """Returns the key of who started the agent, of its channel, or one for all (None: none)."""
        agent = await self._store.agent(agent_id)
        if agent is None:
            return None
        for scope, owner in reversed(_places_of(agent)):
            ref = SecretRef(agent.team, scope, owner, SecretKind.MODEL_KEY)
            if ref in self._held:
                return ModelKey(SecretStr(self._held[ref][1]), scope)
        return None

    async def git_token(self, repo: RepoRef) -> SecretStr | None:
        """Returns the token stored for this repository; None: none."""
        wanted = repository_owner(repo)
        for ref, (_, value) in self._held.items():
            if ref.kind is SecretKind.GIT_TOKEN and ref.owner == wanted:
                return SecretStr(value)
        return None

    def variables(self, agent: Agent) -> dict[str, str]:
        """Returns the variables that the tools of this agent get; the narrowest scope wins."""
        wanted = [(agent.team, scope, owner) for scope, owner in _places_of(agent)]
        return narrowest(
            (entry, value)
            for ref, (entry, value) in self._held.items()
            if entry.exposed and (ref.team, ref.scope, ref.owner) in wanted
        )

    def _check_room(self, ref: SecretRef) -> None:
        same = [
            held
            for held in self._held
            if (held.team, held.scope, held.owner) == (ref.team, ref.scope, ref.owner)
        ]
        if ref not in self._held and len(same) >= MAX_VARIABLES_OF_A_PLACE:
            raise InvalidCommand(
                f"There are {MAX_VARIABLES_OF_A_PLACE} secrets already. Remove one first."
            )

    def _hold(self, entry: SecretEntry, value: str) -> None:
        self._held[entry.ref] = (entry, value)
        if worth_hiding(value):
            self._redact.add(value)


def repository_owner(repo: RepoRef) -> str:
    """Returns the owner of a repository's secrets, in lower case as git hosts compare names."""
    return str(repo).lower()


def _places_of(agent: Agent) -> Sequence[tuple[SecretScope, str]]:
    """Lists the scopes and owners of this agent's secrets, the widest first."""
    return (
        (SecretScope.DEPLOYMENT, ""),
        (SecretScope.REPOSITORY, repository_owner(agent.repo)),
        (SecretScope.CHANNEL, agent.channel),
        (SecretScope.USER, agent.started_by),
    )
