"""Brings a database to the tables of this version, in one transaction, at every start.

All pending migrations and the note of the new version commit together, under the write lock: a
process killed half-way leaves the old tables, and a second process that starts at the same time
waits and then finds nothing to do.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import ConfigurationError
from bot.store.database import (
    Engines,
    back_up,
    create_private_file,
    lock_for_migration,
    migration_engine,
    path_of,
)
from bot.store.tables import metadata

MIGRATIONS = Path(__file__).parent / "migrations"


async def upgrade(url: URL, migrations: Path = MIGRATIONS) -> None:
    """Upgrades the database; raises ConfigurationError when it is newer, foreign, out of reach."""
    path = path_of(url)
    if path is not None:
        await asyncio.to_thread(create_private_file, path)
    engine = migration_engine(url)
    try:
        async with engine.connect() as connection, connection.begin():
            await lock_for_migration(connection)
            await _upgrade(connection, path, migrations)
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise ConfigurationError(
            f"The database {url.render_as_string(hide_password=True)} cannot be used: {cause}"
        ) from error
    finally:
        await engine.dispose()


@asynccontextmanager
async def explain_version(engines: Engines) -> AsyncIterator[None]:
    """Raises ConfigurationError when a query fails on the tables of another version."""
    try:
        yield
    except DBAPIError as error:
        async with engines.reading() as connection:
            row = await connection.execute(text("SELECT version_num FROM alembic_version"))
            version = row.scalar_one_or_none()
        if version == ScriptDirectory(str(MIGRATIONS)).get_current_head():
            raise
        raise ConfigurationError(
            f"The database is of another version of Threadsmith (revision {version}). Start the "
            "bot of this version, which upgrades it, and try again."
        ) from error


async def _upgrade(connection: AsyncConnection, path: Path | None, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    current = await connection.run_sync(_current)
    if current == script.get_current_head():
        return
    if current is None:
        if await connection.run_sync(_has_our_names):
            raise ConfigurationError(
                f"The database {path or 'of DATABASE_URL'} has tables that are not Threadsmith's "
                "own. Set DATABASE_URL to one of its own."
            )
    elif current not in {known.revision for known in script.walk_revisions()}:
        raise ConfigurationError(
            f"The database {path or 'of DATABASE_URL'} was written by a newer version "
            f"(revision {current}). Update Threadsmith, or restore the backup beside the database."
        )
    elif path is not None:
        # The write lock is ours and nothing is written yet, so the copy is the state before.
        copy = path.with_name(f"{path.name}.before-{script.get_current_head()}")
        await asyncio.to_thread(back_up, path, copy)
    await connection.run_sync(_run, config)


def _current(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _has_our_names(connection: Connection) -> bool:
    return not metadata.tables.keys().isdisjoint(inspect(connection).get_table_names())


def _run(connection: Connection, config: Config) -> None:
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
