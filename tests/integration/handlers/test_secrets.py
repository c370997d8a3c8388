"""`/agent secrets` by real listeners: what is typed reaches the keyring and nothing else."""

import json
import logging
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from bot.agents.access.encryption import Cipher
from bot.agents.access.secrets import Secrets
from bot.domain.agent import SecretScope
from bot.domain.secrets import (
    SecretKind,
    SecretRef,
)
from bot.errors import ConfigurationError, ModelUnusable
from bot.redaction import Redactor
from playground.slack.slack_state import TEAM_ID, Json
from playground.slack.user_client import UserClient
from tests.harness.audit import read_audit
from tests.integration.handlers.conftest import Office

VALUE = "canary-typed-K3f9/0815+x"
OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXZhdWx0LTMyLWJ5dGU="


async def open_form(office: Office, person: UserClient) -> None:
    assert (await person.slash("/agent", "secrets")).ok
    await person.wait_for_view("Add a secret")
    assert (await person.click_view("secret_add")).ok
    await person.wait_for_view("secret_value")


async def store(office: Office, person: UserClient, **values: object) -> Json | str | None:
    """Fill in the form; what the bot answered."""
    await open_form(office, person)
    filled = {"kind": "variable", "name": "NPM_TOKEN", "secret_value": VALUE} | values
    outcome = await person.submit_view(filled)
    assert outcome.ok
    await office.settle()
    return outcome.answer


def on_disk(folder: Path) -> bytes:
    """Every byte of the database, its log of changes included."""
    return b"".join(path.read_bytes() for path in folder.glob("bot.db*"))


def held(office: Office) -> list[str]:
    return [str(entry.ref) for entry in office.harness.secrets.entries(TEAM_ID)]


def said_by_the_bot(office: Office) -> str:
    """The calls that the bot made to Slack."""
    calls = office.slack.feed.entries("api_call")
    return json.dumps([call.as_json() for call in calls])


async def test_a_value_is_on_the_disk_in_the_log_and_in_slack_only_encrypted(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ana = office.person("ana")
    with caplog.at_level(logging.DEBUG):
        assert await store(office, ana, expose=["expose"]) is None
    assert held(office) == [f"{TEAM_ID} user U00000ANA variable NPM_TOKEN"]
    for written in (on_disk(tmp_path), caplog.text.encode(), said_by_the_bot(office).encode()):
        assert VALUE.encode() not in written
        assert b"canary-typed" not in written
    assert b"secrets_form" in on_disk(tmp_path)  # the input itself was stored
    listed = str((await ana.wait_for_view("NPM_TOKEN")).spec)
    assert "given to tools" in listed
    assert "canary-typed" not in listed
    assert str(len(VALUE)) not in listed
    (entry,) = await read_audit(office.harness.store)
    assert (entry.actor, entry.action) == ("U00000ANA", "secret.set")
    assert "canary-typed" not in str(entry)
    assert office.harness.redact(f"x {VALUE} y") == "x [redacted] y"


async def test_a_submission_that_was_cut_short_is_stored_sealed_and_replayed(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = office.harness.store.inbox_rows
    kept: list[object] = []

    async def never(row_id: int) -> None:
        kept.append(row_id)

    ana = office.person("ana")
    await open_form(office, ana)
    await office.settle()
    with monkeypatch.context() as context:
        context.setattr(rows, "finish", never)
        await ana.submit_view({"kind": "variable", "name": "NPM_TOKEN", "secret_value": VALUE})
        await office.harness.changes.until(lambda: kept)
    (row,) = await rows.unfinished()
    assert "canary-typed" not in json.dumps(row.body)
    assert b"canary-typed" not in on_disk(tmp_path)
    await office.harness.secrets.remove(
        SecretRef(TEAM_ID, SecretScope.USER, "U00000ANA", SecretKind.VARIABLE, "NPM_TOKEN"), "U"
    )
    office.inbox._running.clear()
    await office.inbox.replay(office.app)
    await office.settle()
    assert held(office) == [f"{TEAM_ID} user U00000ANA variable NPM_TOKEN"]
    assert [value for _, value in office.harness.secrets._held.values()] == [VALUE]


async def test_the_variables_of_a_person_a_channel_and_a_repository_reach_the_bridge(
    office: Office,
) -> None:
    ana = office.person("ana")
    exposed = {"expose": ["expose"]}
    for scope, more in (
        ("user", {}), ("channel", {"name": "A"}),
        ("deployment", {"name": "A", "secret_value": "b"}),
        ("repository", {"name": "R", "repository": "Acme/API"}),
        ("repository", {"name": "OTHER", "repository": "acme/web"}),
    ):  # fmt: skip
        assert await store(office, ana, scope=scope, **(exposed | more)) is None
        await ana.close_view()
    assert await store(office, ana, name="HIDDEN") is None
    await ana.close_view()
    await office.in_thread()
    (variables,) = office.harness.bridge.bodies("environment")
    assert variables == {"NPM_TOKEN": VALUE, "A": VALUE, "R": VALUE}


async def test_what_is_wrong_is_said_at_its_field_and_nothing_is_stored(
    office: Office, tmp_path: Path
) -> None:
    ana = office.person("ana")
    for values, field, says in (
        ({"name": "PATH"}, "name", "decides which programs run"),
        ({"name": "THREADSMITH_X"}, "name", "THREADSMITH_X is reserved"),
        ({"name": "npm"}, "name", "A-Z"),
        ({"kind": "git_token"}, "scope", "belongs to a repository"),
        ({"scope": "repository", "repository": "acme"}, "repository", "owner/name"),
        ({"secret_value": "   "}, "secret_value", "empty"),
    ):
        answer = await store(office, ana, **values)
        assert isinstance(answer, dict)
        assert answer["response_action"] == "errors"
        assert says in answer["errors"][field]
        await ana.close_view()
        await ana.close_view()
    assert not held(office)
    assert b"canary-typed" not in on_disk(tmp_path)


class Provider:
    """Knows one good key."""

    async def check_key(self, key: SecretStr) -> None:
        if key.get_secret_value() != "canary-good-key":
            raise ModelUnusable("The model provider refuses this key (401). It is not stored.")


async def test_a_model_key_is_tried_at_once_and_used_for_the_persons_agents(
    office: Office,
) -> None:
    office.harness.secrets.check_key = Provider().check_key
    ana = office.person("ana")
    answer = await store(office, ana, kind="model_key")
    assert isinstance(answer, dict)
    assert "refuses this key (401)" in answer["errors"]["secret_value"]
    outcome = await ana.submit_view({"secret_value": "canary-good-key", "name": ""})
    assert outcome.answer is None
    await office.settle()
    agent, _ = await office.in_thread()
    key = await office.harness.secrets.model_key(agent.id)
    assert key
    assert key.value.get_secret_value() == "canary-good-key"
    assert key.scope is SecretScope.USER
    assert await office.harness.secrets.model_key("nobody") is None


async def test_a_token_of_a_repository_is_found_whatever_its_case(office: Office) -> None:
    agent, _ = await office.in_thread()
    assert await office.harness.secrets.git_token(agent.repo) is None
    values = {"kind": "git_token", "scope": "repository", "repository": "ACME/api"}
    assert await store(office, office.person("ana"), **values) is None
    token = await office.harness.secrets.git_token(agent.repo)
    assert token
    assert token.get_secret_value() == VALUE


async def test_a_member_sees_and_sets_only_what_is_their_own(office: Office) -> None:
    ana, ben = office.person("ana"), office.person("ben")
    await store(office, ana, scope="channel", name="SHARED")
    await store(office, ana, name="ANAS")
    await open_form(office, ben)
    form = str(ben.views()[-1].spec)
    assert "This channel" not in form
    assert "Git token" not in form
    # A form may come back with what was never in it.
    answer = (
        await ben.submit_view({"kind": "variable", "name": "X", "secret_value": VALUE})
    ).answer
    assert answer is None
    await office.settle()
    view = await ben.wait_for_view("`X`")
    assert "SHARED" not in str(view.spec)
    assert "ANAS" not in str(view.spec)


async def test_a_forged_scope_is_refused(office: Office) -> None:
    ben = office.person("ben")
    await open_form(office, ben)
    ben.views()[-1].values["scope"] = {
        "scope": {"type": "static_select", "selected_option": {"value": "deployment"}}
    }
    outcome = await ben.submit_view({"kind": "variable", "name": "X", "secret_value": VALUE})
    assert isinstance(outcome.answer, dict)
    assert "Only admins" in outcome.answer["errors"]["scope"]
    await office.settle()
    assert not held(office)
    record = await read_audit(office.harness.store)
    assert [entry.outcome[:20] for entry in record] == ["refused: Only admins"]


async def test_a_secret_is_removed_and_the_list_says_so(office: Office, tmp_path: Path) -> None:
    ana = office.person("ana")
    await store(office, ana)
    assert (await ana.click_view("secret_remove")).ok
    await ana.wait_for_view("Nothing is stored yet")
    await office.settle()
    assert not held(office)
    actions = [entry.action for entry in await read_audit(office.harness.store)]
    assert actions == ["secret.remove", "secret.set"]


async def test_a_guest_gets_no_form_and_a_mention_neither(office: Office) -> None:
    eve = office.person("eve")
    await eve.slash("/agent", "secrets")
    await eve.wait_for_ephemeral("Guests cannot use agents here")
    ana = office.person("ana")
    await ana.say("secrets", mention=True)
    await ana.wait_for_ephemeral("a message is no safe place")


async def test_what_is_typed_behind_the_word_is_forgotten(office: Office, tmp_path: Path) -> None:
    ana = office.person("ana")
    await ana.slash("/agent", f"secrets {VALUE}")
    await ana.wait_for_view("Add a secret")
    await office.settle()
    assert b"/agent" in on_disk(tmp_path)
    assert b"canary-typed" not in on_disk(tmp_path)


async def test_secrets_survive_a_restart_and_a_new_key_in_front(office: Office) -> None:
    await store(office, office.person("ana"))
    store_, clock = office.harness.store, office.harness.clock
    (old,) = office.harness.secrets._cipher.keys

    def keyring(*keys: str) -> Secrets:
        return Secrets(store_, Cipher(keys), Redactor(), clock)

    with pytest.raises(ConfigurationError, match="cannot be decrypted") as caught:
        await keyring(OTHER_KEY).open()
    assert OTHER_KEY not in str(caught.value)
    await keyring(OTHER_KEY, old).open()
    again = keyring(OTHER_KEY)
    await again.open()
    assert [value for _, value in again._held.values()] == [VALUE]
    assert await store_.secret_rows.forget_all(1.0) == 1
    await keyring(old).open()


async def test_a_row_that_was_moved_elsewhere_does_not_open(office: Office) -> None:
    await store(office, office.person("ana"))
    async with office.harness.store._engines.writing() as connection:
        await connection.execute(text("UPDATE secret SET owner = 'U00000BEN'"))
    keyring = office.harness.secrets
    with pytest.raises(ConfigurationError):
        await Secrets(keyring._store, keyring._cipher, Redactor(), lambda: 1.0).open()
