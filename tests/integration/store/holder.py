"""A process of its own that owns the data until it is ended: `holder.py DATA_DIR LEASE`."""

import asyncio
import sys
from pathlib import Path

from bot.store.database import migration_engine, parse_url
from bot.store.ownership import Lease, owned


async def main(data_dir: Path, lease_seconds: float) -> None:
    database = f"sqlite+aiosqlite:///{data_dir / 'bot.db'}"
    if lease_seconds:
        deadline = asyncio.get_running_loop().time() + 30
        lease = Lease(
            migration_engine(parse_url(database)), "a process", lease_seconds=lease_seconds
        )
        holding = lease.held(deadline)
    else:
        holding = owned(database, data_dir)
    async with holding:
        sys.stdout.write("mine\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
