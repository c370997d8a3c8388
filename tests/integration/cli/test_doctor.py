"""Each fault of a deployment once, on real parts, and what the doctor says about it."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.agents.health_checks import examine
from bot.app.health import HealthChecks
from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.health import Finding, Verdict, fine
from bot.runtime import checks as runtime_checks
from bot.runtime.docker import DockerRuntime
from bot.store import checks as store_checks
from bot.store.agents import SqlStore
from bot.store.ownership import owned
from playground.server import Playground, PlaygroundSettings, running
from playground.slack.slack_settings import SCOPES, SlackSettings
from tests.integration.cli.conftest import CODE, GOOD_ENGINE, ROOT, Find, serving, settings_of

GENERAL, RANDOM = "C0GENERAL0", "C000RANDOM"
NOBODY = "http://127.0.0.1:9"


def says(finding: Finding, verdict: Verdict, found: str, next_step: str = "") -> None:
    assert (finding.verdict, found in finding.state) == (verdict, True), finding
    assert next_step in finding.next_step, finding


async def test_a_token_in_the_wrong_field(find: Find) -> None:
    finding = await find("settings", slack_bot_token="xapp-canary")
    says(finding, Verdict.FAIL, "SLACK_BOT_TOKEN must begin with xoxb-")


async def test_slack_with_everything_right(find: Find) -> None:
    says(await find("settings"), Verdict.OK, "right kind")
    says(await find("Slack bot token"), Verdict.OK, "@threadsmith in Playground; all")
    says(await find("Slack app token"), Verdict.OK, "Socket Mode")
    says(await find("Slack channels", [GENERAL]), Verdict.OK, GENERAL)
    says(await find("clock"), Verdict.OK, "within seconds")


async def test_a_bot_token_that_slack_refuses(find: Find) -> None:
    finding = await find("Slack bot token", slack_bot_token="xoxb-canary")
    says(finding, Verdict.FAIL, "refuses SLACK_BOT_TOKEN: invalid_auth", "Reinstall the app")


async def test_no_bot_token(find: Find) -> None:
    finding = await find("Slack bot token", slack_bot_token="")
    says(finding, Verdict.FAIL, "not set", "threadsmith setup")


async def test_an_app_installed_before_a_scope_was_added(tmp_path: Path) -> None:
    fewer = SCOPES.replace("users:read,", "").replace("reactions:write,", "")
    async with (
        running(PlaygroundSettings(slack=SlackSettings(scopes=fewer))) as playground,
        doctor(settings_of(playground, tmp_path)) as made,
    ):
        finding = await made.checks()["Slack bot token"]()
    says(finding, Verdict.FAIL, "missing: reactions:write, users:read", "reinstall the app")


async def test_an_app_token_that_slack_refuses(find: Find) -> None:
    finding = await find("Slack app token", slack_app_token="xapp-canary")
    says(finding, Verdict.FAIL, "refuses SLACK_APP_TOKEN: invalid_auth", "connections:write")


async def test_slack_out_of_reach(find: Find) -> None:
    for check in ("Slack bot token", "Slack app token", "Slack channels", "clock"):
        finding = await find(check, [GENERAL], slack_api_url=f"{NOBODY}/api/")
        says(finding, Verdict.FAIL, f"Slack does not answer at {NOBODY}/api/", "SLACK_API_URL")


async def test_a_channel_without_the_bot(find: Find) -> None:
    finding = await find("Slack channels", [GENERAL, RANDOM])
    says(finding, Verdict.FAIL, f"not in {RANDOM}", "Send `/invite @threadsmith`")
    says(await find("Slack channels", allowed_channels=RANDOM), Verdict.FAIL, RANDOM)


@pytest.mark.parametrize(
    ("seconds", "verdict", "said"),
    [(600, Verdict.FAIL, "s behind"), (-60, Verdict.WARN, "s ahead")],
)
async def test_a_clock_that_is_wrong(find: Find, seconds: int, verdict: Verdict, said: str) -> None:
    there = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    answer = web.Response(text='{"ok": true}', headers={"Date": there})
    answer.content_type = "application/json"
    async with serving({"/api/api.test": answer}) as url:
        finding = await find("clock", slack_api_url=f"{url}/api/")
    says(finding, verdict, said, "timedatectl")


async def test_no_bot_and_a_bot_that_never_heard_and_one_that_did(
    find: Find, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    address = f"sqlite+aiosqlite:///{data_dir / 'threadsmith.db'}"
    says(await find("Slack events"), Verdict.WARN, "no bot runs", "Start it")
    store = await SqlStore.open(address, data_dir)
    async with owned(address, data_dir):
        finding = await find("Slack events")
        says(finding, Verdict.WARN, f"process {os.getpid()}", "Event Subscriptions")
        says(finding, Verdict.WARN, "never heard from Slack")
        await store.inbox_rows.store("key", {})
        says(await find("Slack events"), Verdict.OK, "and heard from Slack ")
    await store.close()


async def test_no_engine(find: Find) -> None:
    for check in ("engine", "image"):
        says(await find(check), Verdict.FAIL, "`unix:///nowhere/docker.sock` does not answer")
    says(await find("disk"), Verdict.OK, "free")


@pytest.mark.parametrize(
    ("changed", "check", "verdict", "found", "next_step"),
    [
        ({}, "engine", Verdict.OK, "Docker 27.1, API 1.45, storage overlay2", ""),
        ({"Driver": "vfs"}, "engine", Verdict.WARN, "storage vfs", "overlay2"),
        ({"Runtimes": {"runc": {}}}, "engine", Verdict.FAIL, "no runtime runsc", "Install it"),
        ({"api": "1.40"}, "engine", Verdict.FAIL, "API 1.40", "Upgrade the engine"),
        ({}, "image", Verdict.OK, "the-image 0.2.0 of this very code", ""),
        ({"code": "older"}, "image", Verdict.FAIL, "holds other code", "make image"),
        ({"code": ""}, "image", Verdict.WARN, "does not say which code", "make image"),
        ({"image": 404}, "image", Verdict.FAIL, "not on this machine", "make image"),
        ({}, "network", Verdict.OK, "containers have no network", ""),
        (
            {"OperatingSystem": "Docker Desktop"},
            "network",
            Verdict.WARN,
            "is open (the engine runs in a virtual machine)",
            "firewall rules",
        ),
    ],
)
async def test_an_engine_that_is_not_what_it_should_be(
    find: Find,
    tmp_path: Path,
    changed: dict[str, Any],
    check: str,
    verdict: Verdict,
    found: str,
    next_step: str,
) -> None:
    api = changed.get("api", "1.45")
    labels = {"org.opencontainers.image.version": "0.2.0"}
    labels |= {"threadsmith.code": changed.get("code", CODE)}
    answers = {
        "/version": {"Version": "27.1", "ApiVersion": api},
        f"/v{api}/version": {"Version": "27.1", "ApiVersion": api},
        f"/v{api}/info": {"Driver": "overlay2", "Runtimes": {"runsc": {}}} | changed,
        f"/v{api}/images/the-image/json": changed.get("image", {"Config": {"Labels": labels}}),
    }
    async with serving(answers, tmp_path / "engine.sock") as engine:
        finding = await find(
            check, engine=engine, bridge_image="the-image", container_runtime="runsc"
        )
    says(finding, verdict, found, next_step)


def test_the_image_is_labelled_with_the_same_hash() -> None:
    script = (ROOT / "scripts/build-image.sh").read_text()
    function = script[script.index("code_hash() {") :].partition("\n}\n")[0] + "\n}\ncode_hash"
    process = subprocess.run(["bash", "-c", function], cwd=ROOT, capture_output=True, check=True)
    assert process.stdout.decode().strip() == CODE


async def test_what_an_open_network_reaches(tmp_path: Path) -> None:
    listening = (
        "  sl  local_address rem_address   st\n"
        "   0: 00000000:1F90 00000000:0000 0A\n   1: 0100007F:0016 00000000:0000 0A\n"
        "   2: 00000000:0016 0100007F:1234 01\n"
    )
    (tmp_path / "tcp").write_text(listening)
    (tmp_path / "tcp6").write_text("head\n 0: " + "0" * 32 + ":1538 " + "0" * 32 + ":0000 0A\n")
    finding = runtime_checks.open_network("the bot does not run on Linux", 5432, tmp_path)
    assert finding.state.startswith("the containers' network is open (the bot does not run")
    says(finding, Verdict.WARN, "this host's ports 8080", "firewall rules")
    assert "5432" not in finding.state


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[Path]:
    """A file system of its own, which can really be full."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system")
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


async def test_a_disk_without_room(find: Find, tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "size=1m"):
        says(await find("disk"), Verdict.FAIL, "1 MiB free", "Make room")


async def test_a_disk_without_inodes(find: Find, tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", "size=8g,nr_inodes=100") as place:
        for number in range(99):
            (place / str(number)).touch()
        says(await find("disk"), Verdict.FAIL, "0% of the inodes", "Make room")


async def test_a_database_on_a_full_disk_and_one_that_is_read_only(
    find: Find, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "data", "size=2m") as place:
        path = place / "threadsmith.db"
        store = await SqlStore.open(f"sqlite:///{path}", place)
        await store.close()
        says(await find("database"), Verdict.OK, "takes writes")
        fill = subprocess.run(
            ["dd", "if=/dev/zero", f"of={place / 'fill'}", "bs=4096"], check=False,
            capture_output=True,
        )  # fmt: skip
        assert b"No space left" in fill.stderr
        says(await find("database"), Verdict.FAIL, str(path), "Make room")
        (place / "fill").unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        says(await find("database"), Verdict.FAIL, "cannot be written", "chown")


async def test_a_database_that_somebody_holds_is_newer_or_is_none(
    find: Find, tmp_path: Path
) -> None:
    path = tmp_path / "data" / "threadsmith.db"
    store = await SqlStore.open(f"sqlite:///{path}", path.parent)
    await store.close()
    says(await find("database"), Verdict.OK, "takes writes")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    finding = await store_checks.database(f"sqlite:///{path}", busy_seconds=0.01)
    says(finding, Verdict.FAIL, "database is locked", "fuser")
    holder.execute("UPDATE alembic_version SET version_num = '9999'")
    holder.execute("COMMIT")
    holder.close()
    says(await find("database"), Verdict.FAIL, "newer version (9999)", "Update Threadsmith")
    path.write_bytes(b"not a database at all, but long enough to be read as one" * 40)
    for beside in path.parent.glob("threadsmith.db-*"):
        beside.unlink()
    says(await find("database"), Verdict.FAIL, "not a database", "backup")


async def test_a_model_key_that_works_and_one_that_is_refused(find: Find) -> None:
    says(await find("model key"), Verdict.OK, "$74.50 of credit left")
    refused = await find("model key", openrouter_api_key="sk-or-canary")
    says(refused, Verdict.FAIL, "refuses OPENROUTER_API_KEY (401)", "OPENROUTER_API_KEY")
    missing = await find("model key", openrouter_api_key="")
    says(missing, Verdict.FAIL, "not set", "threadsmith setup")
    for check in ("model key", "default model"):
        away = await find(check, openrouter_base_url=NOBODY)
        says(away, Verdict.FAIL, "does not answer")


@pytest.mark.parametrize(
    ("answers", "verdict", "found"),
    [
        ({"/key": {"data": {"limit_remaining": 0}}}, Verdict.FAIL, "no credit is left"),
        ({"/key": {"data": {"limit_remaining": 0.4}}}, Verdict.WARN, "$0.40 of credit"),
        (
            {
                "/key": {"data": {"limit_remaining": None}},
                "/credits": {"data": {"total_credits": 5, "total_usage": 5.01}},
            },
            Verdict.FAIL,
            "no credit is left",
        ),
        ({"/models": {"data": []}}, Verdict.OK, "names no limit"),
        ({"/models": 403}, Verdict.FAIL, "(403)"),
        ({"/key": 503}, Verdict.FAIL, "has a problem (503)"),
        ({"/key": {"data": "odd"}}, Verdict.OK, "names no limit"),
    ],
)
async def test_credit_and_other_providers(
    find: Find, answers: dict[str, Any], verdict: Verdict, found: str
) -> None:
    async with serving(answers) as url:
        says(await find("model key", openrouter_base_url=url), verdict, found)


async def test_a_default_model_that_calls_no_tools_is_unknown_or_nobody_says(find: Find) -> None:
    says(await find("default model"), Verdict.OK, "anthropic/claude-3.5-sonnet calls tools")
    silent = await find("default model", agent_model="example/no-tools")
    says(silent, Verdict.FAIL, "cannot call tools")
    unknown = await find("default model", agent_model="anthropic/claude-3.5-sonet")
    says(unknown, Verdict.FAIL, "Did you mean `anthropic/claude-3.5-sonnet`")
    async with serving({}) as url:
        unsaid = await find("default model", openrouter_base_url=url)
    says(unsaid, Verdict.WARN, "does not say whether", "small task")


async def test_a_git_token_that_is_missing_refused_or_without_access(find: Find) -> None:
    private, none = [RepoRef("demo", "private")], [RepoRef("demo", "none")]
    says(await find("git", (), private), Verdict.OK, "reaches demo/private")
    says(await find("git"), Verdict.WARN, "no API", "--repository")
    says(await find("git", github_token=""), Verdict.WARN, "no GITHUB_TOKEN", "GITHUB_TOKEN")
    says(await find("git", (), none), Verdict.FAIL, "`demo/none`: not found", "may read and write")
    refused = await find("git", (), private, github_token="canary")
    says(refused, Verdict.FAIL, "no access", "may read and write")
    says(await find("git", github_api_url=NOBODY), Verdict.FAIL, f"{NOBODY} does not answer")


def until(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d %H:%M:%S} UTC"


async def test_what_the_git_hosts_api_says_about_a_token(find: Find) -> None:
    repo = [RepoRef("demo", "private")]
    reading = {"permissions": {"pull": True, "push": False}}
    header = "github-authentication-token-expiration"
    soon = web.Response(text="{}", headers={header: until(2)})
    late = web.Response(text="{}", headers={header: until(90)})
    for answers, verdict, state in (
        ({"/user": 401}, Verdict.FAIL, "refuses GITHUB_TOKEN (401)"),
        ({"/user": soon}, Verdict.WARN, "GITHUB_TOKEN expires on"),
        ({"/user": late}, Verdict.OK, "the token works until"),
        ({"/user": {}, "/repos/demo/private": reading}, Verdict.WARN, "not pushed to"),
        ({"/user": {}, "/repos/demo/private": {}}, Verdict.OK, "reaches demo/private"),
    ):
        async with serving(answers) as url:
            says(await find("git", (), repo, github_api_url=url), verdict, state)


async def test_a_github_app_that_works_is_not_installed_or_is_refused(
    find: Find, playground: Playground, tmp_path: Path
) -> None:
    repo = [RepoRef("demo", "private")]
    app = {"github_token": "", "github_app_id": "42", "github_app_private_key": app_key()}
    where, mint = "/repos/demo/private/installation", "/app/installations/7/access_tokens"
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    minted = {"token": playground.git_token, "expires_at": expires}
    good: dict[str, Any] = {where: {"id": 7}, mint: minted}
    reading = {"permissions": {"pull": True, "push": False}}
    for changed, verdict, state, next_step in (
        ({}, Verdict.OK, "a GitHub App; reaches demo/private", ""),
        ({where: 404}, Verdict.FAIL, "not installed for `demo/private`", "Install the GitHub App"),
        ({where: 401}, Verdict.FAIL, "refused the GitHub App", "GITHUB_APP_ID"),
        ({mint: 422}, Verdict.FAIL, "may not write to `demo/private`", "Contents"),
        ({"/repos/demo/private": reading}, Verdict.WARN, "not pushed to", "Install the GitHub App"),
    ):
        async with serving(good | changed) as url:
            says(await find("git", (), repo, github_api_url=url, **app), verdict, state, next_step)
    away = await find("git", (), repo, github_api_url=NOBODY, **app)
    says(away, Verdict.FAIL, "does not answer")
    half = await find("git", (), repo, **(app | {"github_app_private_key": ""}))
    says(half, Verdict.FAIL, "GITHUB_APP_PRIVATE_KEY_FILE")
    file = tmp_path / "key.pem"
    file.write_text("canary, and no key")
    app |= {"github_app_private_key": "", "github_app_private_key_file": str(file)}
    wrong = await find("git", (), repo, **app)
    says(wrong, Verdict.FAIL, "GITHUB_APP_PRIVATE_KEY_FILE")
    assert "canary" not in wrong.state


def app_key() -> str:
    key = rsa.generate_private_key(65_537, 2_048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def test_a_postgres_without_its_driver(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)  # as where it is not installed
    address = "postgresql://bot:canary@127.0.0.1:9/threadsmith"
    finding = await find("database", database_url=address)
    says(finding, Verdict.FAIL, "DATABASE_URL needs the Python package asyncpg", "pip install")
    assert "canary" not in finding.state


async def test_one_that_hangs_and_one_with_a_bug_stop_no_other() -> None:
    async def hangs() -> Finding:
        await asyncio.Event().wait()
        return fine("never")

    async def errs() -> Finding:
        raise ZeroDivisionError("a bug")

    async def works() -> Finding:
        return fine("well")

    checks = {"hangs": hangs, "errs": errs, "works": works}
    first, second, third = await examine(checks, check_seconds=0.05)
    says(first.finding, Verdict.FAIL, "no answer within")
    says(second.finding, Verdict.FAIL, "ZeroDivisionError: a bug", "report it")
    says(third.finding, Verdict.OK, "well")


@asynccontextmanager
async def doctor(settings: Settings) -> AsyncIterator[HealthChecks]:
    async with aiohttp.ClientSession() as session, DockerRuntime("doctor") as runtime:
        yield HealthChecks(settings, session, runtime)


async def command(
    playground: Playground, folder: Path, *arguments: str, **changes: str
) -> tuple[int | None, str]:
    """Run `threadsmith doctor` on a host without an engine."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("threadsmith"),
        "doctor",
        *arguments,
        env={
            **os.environ,
            **playground.environment(),
            "DATA_DIR": str(folder / "data"),
            "DOCKER_HOST": "unix:///nowhere/docker.sock",
            **changes,
        },
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_the_command_for_a_person(playground: Playground, tmp_path: Path) -> None:
    status, output = await command(playground, tmp_path, "--channel", RANDOM)
    assert status == 1
    assert f"fail  Slack channels   the bot is not in {RANDOM}" in output
    assert "→ Send `/invite @threadsmith` in that channel." in output
    assert "ok    model key" in output
    assert "16 checks: 4 failed" in output
    assert playground.model_key not in output
    assert not (tmp_path / "data").exists()


async def test_the_command_for_a_script(playground: Playground, tmp_path: Path) -> None:
    arguments = ("--json", "--channel", GENERAL, "--repository", "demo/private")
    async with serving(GOOD_ENGINE, tmp_path / "engine.sock") as engine:
        status, output = await command(playground, tmp_path, *arguments, DOCKER_HOST=engine)
    report = json.loads(output)
    assert (status, report["verdict"]) == (0, "warn")
    verdicts = {one["check"]: one["verdict"] for one in report["checks"]}
    assert [name for name, verdict in verdicts.items() if verdict != "ok"] == ["Slack events"]


async def test_settings_that_cannot_be_read_are_a_finding(
    playground: Playground, tmp_path: Path
) -> None:
    status, output = await command(playground, tmp_path, "--json", AGENT_MAX_STEPS="many")
    (one,) = json.loads(output)["checks"]
    assert (status, one["check"]) == (1, "settings")
    assert "AGENT_MAX_STEPS" in one["found"]
