"""The tokens of the agents: derived from one secret on disk, so nothing else needs storing."""

import hashlib
import hmac
import secrets
from pathlib import Path

from pydantic import SecretStr

from bot.errors import ConfigurationError
from bot.files import create_private_file

_SECRET_BYTES = 32
_PREFIX = "agt_"
_MAX_TOKEN_CHARS = 200


class Tokens:
    """Two tokens per agent: one opens the gateway, the other opens the agent's bridge."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def gateway_token(self, agent_id: str) -> SecretStr:
        """What the container shows at the gateway; it names its agent."""
        return SecretStr(f"{_PREFIX}{agent_id}.{self._mac('gateway', agent_id)}")

    def bridge_token(self, agent_id: str) -> SecretStr:
        """What the bot shows at the agent's bridge."""
        return SecretStr(self._mac("bridge", agent_id))

    def agent_of(self, token: str) -> str | None:
        """The agent that a gateway token was made for; None for anything that we did not make."""
        if len(token) > _MAX_TOKEN_CHARS or not token.startswith(_PREFIX) or not token.isascii():
            return None
        agent_id, _, mac = token.removeprefix(_PREFIX).rpartition(".")
        good = hmac.compare_digest(mac, self._mac("gateway", agent_id))
        return agent_id if agent_id and good else None

    def _mac(self, purpose: str, agent_id: str) -> str:
        message = f"{purpose}:{agent_id}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def load_tokens(data_dir: Path) -> Tokens:
    """Read DATA_DIR/secret, made once with mode 0600; raises ConfigurationError."""
    path = data_dir / "secret"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        create_private_file(path, secrets.token_bytes(_SECRET_BYTES))
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"DATA_DIR: {path} cannot be read or made ({error.strerror}). Make the directory "
            "writable for the bot, or name another one."
        ) from error
    if len(secret) != _SECRET_BYTES:
        raise ConfigurationError(
            f"{path} is damaged: it holds {len(secret)} bytes instead of {_SECRET_BYTES}. Restore "
            "it, or remove it; the agents that run now must then be started anew."
        )
    return Tokens(secret)
