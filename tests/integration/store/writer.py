"""A process of its own that uses the database until it is killed: `writer.py MODE PATH`."""

import asyncio
import sys
from pathlib import Path

from bot.store.agents import SqlStore


async def main(mode: str, path: Path) -> None:
    store = await SqlStore.open(f"sqlite+aiosqlite:///{path}", path.parent)
    number = 0
    while mode == "forever":
        number += 1
        async with store.transaction() as tx:
            await tx.claim_message("T", "C", str(number))
        await store.inbox_rows.store(f"event {number}", {"n": number})
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    await store.close()
    sys.stdout.write("opened\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
