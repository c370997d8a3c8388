"""Upgrades: whole or not at all, with a copy first, and never downwards."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bot.domain.message import MessageKind
from bot.errors import ConfigurationError
from bot.store.agents import SqlStore
from bot.store.database import Engines, parse_url
from bot.store.migrate import MIGRATIONS, upgrade
from bot.store.tables import metadata
from bridge.protocol import MessageWritten, StepStarted, parse_event

HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()
NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"

def upgrade() -> None:
    op.create_table("added", sa.Column("id", sa.Integer(), primary_key=True))
    with op.batch_alter_table("agent") as batch:
        batch.add_column(sa.Column("colour", sa.Text(), nullable=False, server_default="red"))
    {then}
"""


def address(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def later_migrations(folder: Path, then: str = "pass") -> Path:
    migrations = folder / "later %s migrations"
    shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / "9999_next.py").write_text(NEXT.format(then=then, head=HEAD))
    return migrations


async def test_migrations_and_tables_agree(store: SqlStore) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        return list(compare_metadata(context, metadata))

    async with store._engines.reader.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "bot.db"
    path.parent.mkdir()
    path.touch(mode=0o644)
    await (await SqlStore.open(address(path), tmp_path)).close()
    assert execute(path, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.glob("*before*")) == []


async def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    for _ in range(2):
        store = await SqlStore.open(address(path), tmp_path)
        await store.close()
        await store.close()
    assert list(tmp_path.glob("*before*")) == []


async def test_many_starts_at_once_upgrade_once(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await asyncio.gather(*(upgrade(parse_url(address(path))) for _ in range(8)))
    assert execute(path, "SELECT version_num FROM alembic_version") == [(HEAD,)]


async def test_a_newer_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await upgrade(parse_url(address(path)))
    execute(path, "UPDATE alembic_version SET version_num = 'f00d'")
    with pytest.raises(ConfigurationError, match="newer version") as caught:
        await SqlStore.open(address(path), tmp_path)
    assert "f00d" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_existing_database_is_copied_before_its_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await upgrade(parse_url(address(path)))
    execute(path, "INSERT INTO claim VALUES ('T', 'C', '1', NULL, 5.0)")
    await upgrade(parse_url(address(path)), later_migrations(tmp_path))
    assert execute(path, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert execute(path, "SELECT ts FROM claim") == [("1",)]
    copy = tmp_path / "bot.db.before-9999"
    assert execute(copy, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    assert execute(copy, "SELECT ts FROM claim") == [("1",)]
    assert copy.stat().st_mode & 0o777 == 0o600


async def as_of(folder: Path, revision: str) -> Path:
    """A database that this revision left."""
    path, old = folder / "bot.db", folder / "old migrations"
    shutil.copytree(MIGRATIONS, old, ignore=shutil.ignore_patterns("__pycache__"))
    for migration in (old / "versions").glob("[0-9]*.py"):
        if migration.name[:4] > revision:
            migration.unlink()
    await upgrade(parse_url(address(path)), old)
    return path


def insert_agent(path: Path, agent_id: str, status: str = "idle") -> None:
    """Store an agent with the columns of the first version."""
    columns = (
        "id, team, channel, repo_owner, repo_name, target_branch, title, model, max_steps,"
        " started_by, created_at, status, task_number, step, last_seq, status_since,"
        " revived_at, read_ts"
    )
    values = f"'{agent_id}', 'T', 'C', 'a', 'b', 't', 'x', 'm', 1, 'U', 1, '{status}'"
    execute(path, f"INSERT INTO agent ({columns}) VALUES ({values}, 1, 0, 0, 1, 0, '')")


async def test_what_runs_when_places_are_introduced_has_one(tmp_path: Path) -> None:
    path = await as_of(tmp_path, "0001")
    for status in ("starting", "working", "idle", "sleeping", "stopped"):
        insert_agent(path, status, status)
    store = await SqlStore.open(address(path), tmp_path)
    agents = await store.agents(alive=False)
    await store.close()
    placed = {agent.id for agent in agents if agent.placed}
    assert placed == {"starting", "working", "idle"}
    assert not any(agent.waiting for agent in agents)


async def test_earlier_events_are_asked_for_by_their_kind(tmp_path: Path) -> None:
    path = await as_of(tmp_path, "0009")
    insert_agent(path, "k3f9ab")
    message = MessageWritten(
        seq=1, at=1.0, task_id="t", text='\0 "type":"x" \U0001f600', final=True
    )
    step = StepStarted(seq=2, at=1.0, task_id="t", step=1, max_steps=9)
    newer = parse_event('{"type": "from_the_future", "seq": 3, "at": 3, "task_id": "t"}')
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = [(event.seq, event.model_dump_json()) for event in (message, step, newer)]
        connection.executemany(
            "INSERT INTO event (agent_id, seq, task_id, body) VALUES ('k3f9ab', ?, 't', ?)", rows
        )
    store = await SqlStore.open(address(path), tmp_path)
    newest = await store.newest_event("k3f9ab", MessageWritten)
    steps = await store.events("k3f9ab", kinds=(StepStarted,))
    await store.close()
    assert (newest, steps) == (message, [step])
    kinds = execute(path, "SELECT kind FROM event ORDER BY seq")
    assert kinds == [("message_written",), ("step_started",), ("from_the_future",)]


async def test_earlier_messages_are_of_the_kind_that_their_id_began_with(tmp_path: Path) -> None:
    path = await as_of(tmp_path, "0009")
    insert_agent(path, "k3f9ab")
    kinds = {
        "start": MessageKind.START,
        "1700000000.000100": MessageKind.REPLY,
        "pressed:0a1b": MessageKind.PRESSED,
        "answer:q:1": MessageKind.ANSWER,
        "resume:17": MessageKind.RESUME,
        "undo:18": MessageKind.UNDO,
    }
    columns = 'agent_id, id, user, text, task_id, mode, "order"'
    for order, message_id in enumerate(kinds, 1):
        values = f"'k3f9ab', '{message_id}', 'U', 'x', 't', 'steer', {order}"
        execute(path, f"INSERT INTO message ({columns}) VALUES ({values})")
    store = await SqlStore.open(address(path), tmp_path)
    waiting = await store.undelivered("k3f9ab")
    await store.close()
    assert {message.id: message.kind for message in waiting} == kinds
    [question] = [message.name for message in waiting if message.kind is MessageKind.ANSWER]
    assert question == "q:1"


async def test_an_upgrade_that_fails_half_way_leaves_the_old_tables(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await upgrade(parse_url(address(path)))
    broken = later_migrations(tmp_path, then='op.execute("SELECT * FROM missing")')
    with pytest.raises(ConfigurationError, match="no such table"):
        await upgrade(parse_url(address(path)), broken)
    assert execute(path, "SELECT name FROM sqlite_master WHERE name = 'added'") == []
    assert execute(path, "SELECT version_num FROM alembic_version") == [(HEAD,)]
    await (await SqlStore.open(address(path), tmp_path)).close()


async def test_references_hold_after_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    await upgrade(parse_url(address(path)))
    await upgrade(parse_url(address(path)), later_migrations(tmp_path))
    assert execute(path, "PRAGMA foreign_key_check") == []


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ("nonsense", "not an address"),
        ("mysql://u:canary@h/d", "mysql is not supported"),
        ("sqlite+aiosqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
    ],
)
def test_an_address_that_cannot_work_is_named_without_its_password(
    database: str, says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        parse_url(database)
    assert "canary" not in str(caught.value)


async def test_a_driver_that_is_not_installed_is_named() -> None:
    pytest.importorskip("sqlalchemy")
    try:
        import asyncpg  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(ConfigurationError, match="asyncpg"):
            Engines.of(parse_url("postgresql://u:canary@h/d"))


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    path.write_text("precious notes, not a database at all, long enough to be read\n" * 20)
    with pytest.raises(ConfigurationError, match="not a database"):
        await SqlStore.open(address(path), tmp_path)
    assert path.read_text().startswith("precious")


async def test_tables_of_another_program_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    execute(path, "CREATE TABLE agent (id TEXT)")
    with pytest.raises(ConfigurationError, match="tables that are not"):
        await SqlStore.open(address(path), tmp_path)


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        await SqlStore.open(address(tmp_path / "file" / "bot.db"), tmp_path)


async def test_a_folder_in_the_place_of_the_database_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="no file"):
        await SqlStore.open(address(folder), tmp_path)
    assert folder.stat().st_mode & 0o777 == 0o755
