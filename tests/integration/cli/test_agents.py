"""The commands over what a deployment has, where there is no engine or nothing at all."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli.main import main
from bot.domain.agent import AgentStatus
from bot.store.ownership import owned
from tests.integration.cli.conftest import serving
from tests.integration.cli.test_records import AGENT, prepare

Run = Callable[..., Result]
NO_ENGINE = "unix:///nowhere/docker.sock"
FILES = ("instance", "owner", "secret", "threadsmith.db", "threadsmith.db-wal", "gateway.json")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    working = replace(AGENT, id="k3f9ac", thread_ts="2.0", status=AgentStatus.WORKING)
    asyncio.run(prepare(folder, AGENT, working))
    (folder / "instance").write_text("1234abcd\n")
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def ran(*arguments: str, **env: str) -> Result:
        environment = {"DATA_DIR": "data", "DOCKER_HOST": NO_ENGINE, "DATABASE_URL": "", **env}
        return CliRunner().invoke(main, [*arguments], env=environment)

    return ran


@pytest.mark.parametrize("command", [("ps",), ("prune",), ("uninstall",), ("stop", "k3f9ac")])
def test_where_no_bot_ever_ran_nothing_is_made(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    result = run(*command)
    assert result.exit_code == 1
    assert "No bot has ever run with" in result.output
    assert not (tmp_path / "data").exists()


def test_without_an_engine_the_agents_are_listed_all_the_same(run: Run, data: Path) -> None:
    result = run("ps")
    assert result.exit_code == 0
    assert "does not answer" in result.output
    assert "k3f9ac    working" in result.output
    assert "k3f9ab" not in result.output
    listed = json.loads(run("ps", "--json").stdout)
    assert [one["id"] for one in listed["agents"]] == ["k3f9ac"]


def test_a_database_that_waits_for_its_upgrade_is_left_to_the_bot(run: Run, data: Path) -> None:
    with closing(sqlite3.connect(data / "threadsmith.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0009'")
        connection.execute("ALTER TABLE agent DROP COLUMN leftover")
    result = run("ps")
    assert result.exit_code == 1
    assert "(revision 0009). Start the bot" in result.output


@pytest.mark.parametrize("command", [("prune",), ("uninstall", "--data", "--yes"), ("logs", "k")])
def test_what_needs_an_engine_says_so_and_changes_nothing(
    run: Run, data: Path, command: tuple[str, ...]
) -> None:
    before = sorted(path.name for path in data.iterdir())
    result = run(*command)
    assert result.exit_code == 1
    assert "Ask an admin to start it" in result.output
    assert sorted(path.name for path in data.iterdir()) == before


@pytest.mark.parametrize(
    ("agent", "said"),
    [("k3f9ab", "This agent was stopped"), ("nobody", "no agent"), ("../x", "no agent's id")],
)
def test_a_stop_that_cannot_be(run: Run, data: Path, agent: str, said: str) -> None:
    result = run("stop", agent)
    assert result.exit_code in (1, 2)
    assert said in result.output
    assert "Traceback" not in result.output


async def test_beside_a_bot_nothing_is_uninstalled_and_a_deaf_one_is_named(
    run: Run, data: Path
) -> None:
    async with owned(f"sqlite:///{data / 'threadsmith.db'}", data):
        refused = await asyncio.to_thread(run, "uninstall", "--yes", "--data")
        deaf = await asyncio.to_thread(run, "stop", "k3f9ac")
    assert "A bot runs here (process" in refused.output
    assert "does not answer at control.sock" in deaf.output
    assert (data / "threadsmith.db").exists()


EMPTY_ENGINE = {
    "/version": {"Version": "27.1", "ApiVersion": "1.45"},
    "/v1.45/containers/json": [],
    "/v1.45/volumes": {"Volumes": None},
    "/v1.45/networks": [],
}


async def test_uninstall_takes_its_own_files_and_no_others(
    run: Run, data: Path, tmp_path: Path
) -> None:
    for name in FILES:
        (data / name).touch()
    (data / "notes.txt").write_text("mine")
    async with serving(EMPTY_ENGINE, tmp_path / "engine.sock") as engine:
        kept = await asyncio.to_thread(run, "uninstall", "--yes", DOCKER_HOST=engine)
        assert "stay; `--data` removes them" in kept.output
        assert (data / "threadsmith.db").exists()
        result = await asyncio.to_thread(run, "uninstall", "--yes", "--data", DOCKER_HOST=engine)
        assert result.exit_code == 0, result.output
        assert "Nothing of this deployment" in result.output
        assert [path.name for path in data.iterdir()] == ["notes.txt"]
        assert "notes.txt" in result.output


def test_a_database_of_an_older_version_is_not_upgraded_by_a_look(run: Run, data: Path) -> None:
    with sqlite3.connect(data / "threadsmith.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()
    assert run("ps").exit_code == 0
    with sqlite3.connect(data / "threadsmith.db") as database:
        (version,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    database.close()
    assert version == "0001"
