"""The doctor's questions to a database on a server."""

import asyncio

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from bot.domain.health import Finding, broken, fine
from bot.errors import ConfigurationError
from bot.store.engine import Engines
from bot.store.migrate import MIGRATIONS

_ANSWER_SECONDS = 5.0
_DRIVER = "Install the driver beside Threadsmith: `pip install asyncpg`, or take SQLite."
_REACH = "Start the server, or correct the host, the database and the user in DATABASE_URL."


async def on_server(url: URL) -> Finding:
    """Whether the server lets us in, takes writes, and holds a database of this version."""
    place = f"{url.host or 'the local server'}/{url.database or ''}"
    try:
        engines = Engines.of(url)
    except ConfigurationError as error:
        return broken(str(error), _DRIVER)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), engines.writer.begin() as connection:
            only_reads = await connection.scalar(text("SHOW transaction_read_only"))
            if only_reads == "on":
                return broken(f"{place} takes no writes", "Name the primary in DATABASE_URL.")
            if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
                return fine(f"the first start makes the tables in {place}")
            # A real write that changes nothing.
            row = await connection.execute(
                text("UPDATE alembic_version SET version_num = version_num RETURNING version_num")
            )
            version = row.scalar()
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        why = str(cause).strip().splitlines()[:1] or [type(cause).__name__]
        return broken(f"{place} does not take us in: {why[0][:200]}", _REACH)
    finally:
        await engines.writer.dispose()
    return _of_version(place, str(version))


def _of_version(place: str, version: str) -> Finding:
    scripts = ScriptDirectory(str(MIGRATIONS))
    if version not in {one.revision for one in scripts.walk_revisions()}:
        return broken(f"{place} was written by a newer version ({version})", "Update Threadsmith.")
    if version != scripts.get_current_head():
        return fine(f"{place} takes writes; the next start upgrades it from {version}")
    return fine(f"{place} takes writes")
