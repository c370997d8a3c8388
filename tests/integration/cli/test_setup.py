"""The walk to a first agent, on a real terminal, against the playground."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from click.testing import CliRunner

from bot.cli.main import main
from bot.slack.manifest import new_app_link
from playground.server import Playground, PlaygroundSettings, running
from playground.slack.slack_settings import SCOPES, SlackSettings
from tests.integration.cli.conftest import GOOD_ENGINE, ROOT, serving
from tests.integration.cli.terminal import terminal

GENERAL, RANDOM = "C0GENERAL0", "C000RANDOM"
TOKENS = ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "OPENROUTER_API_KEY", "GITHUB_TOKEN")
INVITE = "/invite @threadsmith"
BOT, APP, KEY = (f"{name} (unseen): " for name in TOKENS[:3])
CHANNEL = "Enter for none"


def places(playground: Playground, folder: Path, engine: str) -> dict[str, str]:
    """The environment: where everything is, and no token."""
    addresses = {k: v for k, v in playground.environment().items() if k.endswith("_URL")}
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "OPENROUTER_"))}
    return {**clean, **addresses, "DATA_DIR": str(folder / "data"), "DOCKER_HOST": engine}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[str]:
    async with serving(GOOD_ENGINE, tmp_path / "engine.sock") as address:
        yield address


def written(folder: Path) -> list[str]:
    return (folder / ".env").read_text().splitlines()


@pytest.mark.timeout(240)
async def test_from_nothing_to_a_first_agent(
    playground: Playground, tmp_path: Path, engine: str
) -> None:
    env = tmp_path / ".env"
    env.write_text("# mine\n#SLACK_BOT_TOKEN=\nAGENT_MAX_STEPS=9\n#SLACK_APP_TOKEN=\n")
    env.chmod(0o644)
    async with terminal(tmp_path, places(playground, tmp_path, engine), "setup") as person:
        await person.sees("https://api.slack.com/apps?new_app=1&manifest_yaml=")
        for asked, typed, answered in (
            ("Open this in a browser here?", "n", "OAuth & Permissions"),
            (BOT, playground.app_token, "token of Slack; it belongs in SLACK_APP_TOKEN."),
            (BOT, "xoxb-canary", "✗ SLACK_BOT_TOKEN: Slack refuses SLACK_BOT_TOKEN: invalid_auth"),
            (BOT, playground.bot_token, "✓ SLACK_BOT_TOKEN: @threadsmith in Playground"),
            (APP, playground.model_key, "a key of OpenRouter; it belongs in OPENROUTER_API_KEY."),
            (APP, playground.app_token, "✓ SLACK_APP_TOKEN"),
            (KEY, playground.model_key, "✓ OPENROUTER_API_KEY: the provider takes the key; $74.50"),
            ("GITHUB_TOKEN (unseen, Enter for none): ", "", INVITE),
            (CHANNEL, "#random", "no channel's link"),
            (CHANNEL, f"https://a.slack.com/archives/{RANDOM}", f"✗ the bot is not in {RANDOM}"),
        ):
            await person.sees(asked)
            person.types(typed)
            await person.sees(answered)
        await person.sees(CHANNEL)
        person.types(GENERAL)
        await person.sees(f"✓ in {GENERAL}")
        await person.sees("ok    Slack bot token")
        await person.sees("0 failed")
        await person.sees("/agent owner/repo")
        assert await person.ends() == 0
    for secret in (playground.bot_token, playground.app_token, playground.model_key):
        assert secret not in person.shown
    assert written(tmp_path) == [
        "# mine",
        f"SLACK_BOT_TOKEN={playground.bot_token}",
        "AGENT_MAX_STEPS=9",
        f"SLACK_APP_TOKEN={playground.app_token}",
        f"OPENROUTER_API_KEY={playground.model_key}",
    ]
    assert env.stat().st_mode & 0o777 == 0o600


@pytest.mark.timeout(240)
async def test_ctrl_c_keeps_what_was_accepted_and_the_next_run_goes_on(
    playground: Playground, tmp_path: Path, engine: str
) -> None:
    environment = places(playground, tmp_path, engine)
    async with terminal(tmp_path, environment, "setup") as person:
        await person.sees("Open this in a browser here?")
        person.types("")
        await person.sees("SLACK_BOT_TOKEN (unseen): ")
        person.types(playground.bot_token)
        await person.sees("SLACK_APP_TOKEN (unseen): ")
        person.presses(b"\x03")
        await person.sees("What was accepted so far is in")
        assert await person.ends() == 1
    assert written(tmp_path) == [f"SLACK_BOT_TOKEN={playground.bot_token}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".env", "engine.sock"]
    async with terminal(tmp_path, environment, "setup") as person:
        await person.sees("✓ SLACK_BOT_TOKEN: @threadsmith")
        await person.sees("SLACK_APP_TOKEN (unseen): ")
        assert "manifest_yaml" not in person.shown
        person.presses(b"\x03")
        assert await person.ends() == 1


Run = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def run(tmp_path: Path, engine: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    async def ran(playground: Playground, *arguments: str, **env: str) -> tuple[int, str]:
        environment = {**dict.fromkeys(TOKENS, ""), **places(playground, tmp_path, engine), **env}
        command = ["setup", "--no-input", *arguments]
        result = await asyncio.to_thread(CliRunner().invoke, main, command, env=environment)
        return result.exit_code, result.output

    return ran


async def test_a_script_gives_files_and_the_environment(
    playground: Playground, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "bot").write_text(f"{playground.bot_token}\n")
    files = ("--bot-token-file", "bot", "--channel", GENERAL)
    others = {"SLACK_APP_TOKEN": playground.app_token, "OPENROUTER_API_KEY": playground.model_key}
    status, output = await run(playground, *files, **others)
    assert status == 0, output
    assert "Ready." in output
    assert len(written(tmp_path)) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "SLACK_BOT_TOKEN is missing: the Bot User OAuth Token"),
        ({"SLACK_BOT_TOKEN": "xoxb-canary"}, "SLACK_BOT_TOKEN does not work"),
        ({"SLACK_BOT_TOKEN": "sk-or-canary"}, "it belongs in OPENROUTER_API_KEY"),
        ({"SLACK_BOT_TOKEN": "xoxp-canary"}, "a user's token of Slack"),
        ({"SLACK_BOT_TOKEN": "0123456789abcdef0123456789abcdef"}, "Signing Secret"),
        ({"SLACK_BOT_TOKEN": "xoxb-a b"}, "holds spaces"),
        ({"AGENT_MAX_STEPS": "many"}, "AGENT_MAX_STEPS"),
    ],
)
async def test_a_script_is_told_what_lacks_or_is_wrong(
    playground: Playground, tmp_path: Path, run: Run, given: dict[str, str], said: str
) -> None:
    status, output = await run(playground, **given)
    assert (status, said in output) == (1, True), output
    assert "Traceback" not in output
    assert not (tmp_path / ".env").exists()


async def test_a_scope_that_is_missing_is_told_before_the_token_is_kept(
    run: Run,
) -> None:
    fewer = SCOPES.replace("users:read,", "")
    settings = PlaygroundSettings(slack=SlackSettings(scopes=fewer))
    async with running(settings) as playground:
        token = playground.bot_token
        status, output = await run(playground, SLACK_BOT_TOKEN=token)
    assert status == 1
    assert "scopes that are missing: users:read" in output


async def test_the_bot_enters_a_public_channel_where_its_scopes_allow_that(
    run: Run,
) -> None:
    settings = PlaygroundSettings(slack=SlackSettings(scopes=f"{SCOPES},channels:join"))
    async with running(settings) as playground:
        tokens = {k: v for k, v in playground.environment().items() if k in TOKENS}
        arguments = ("--channel", RANDOM)
        status, output = await run(playground, *arguments, **tokens)
    assert status == 0, output
    assert f"✓ in {RANDOM}" in output


async def test_the_link_holds_the_whole_manifest() -> None:
    text = (ROOT / "manifest.yml").read_text()
    link = new_app_link(text)
    query = parse_qs(urlsplit(link).query)
    assert yaml.safe_load(query["manifest_yaml"][0]) == yaml.safe_load(text)
    assert query["new_app"] == ["1"]
    assert len(link) < 4_000
