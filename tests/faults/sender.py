"""Senders that die one after the other, each between Slack's acceptance and our storing of the ts.

`sender.py DATA_DIR CHANNEL TOKEN COUNT` prints how each process ended, as a JSON list. The parent
imports everything once and has no thread, so that a fork is all that a new process costs.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from slack_sdk.web.async_client import AsyncWebClient

from bot.app.fault_injection import CrashPoints
from bot.domain.agent import Agent, RepoRef
from bot.domain.posts import Post, PostKind, Priority
from bot.slack.outbox.sender import OutboxSender
from bot.store.agents import SqlStore

POSTS_A_THREAD = 5
POINTS = ("slack.chat_postMessage.after", "outbox.sent.before")
DRAIN_SECONDS = 30.0


def main(data_dir: str, channel: str, token: str, count: str) -> None:
    """Let so many processes die, then let one finish."""
    ends = []
    for number in range(int(count) + 1):
        # One that only finds a post that is there passes `outbox.sent` once before its own.
        point = POINTS[number % 2] + (":2" if number % 2 and number else "")
        last = number == int(count)
        if not (child := os.fork()):
            asyncio.run(live(Path(data_dir), channel, token, number, "" if last else point))
            os._exit(0)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print(json.dumps(ends))  # noqa: T201  (the answer to the test)


async def live(data_dir: Path, channel: str, token: str, number: int, point: str) -> None:
    """Settle what is open and post one message; the last life (no point) has none of its own."""
    store = await SqlStore.open(f"sqlite+aiosqlite:///{data_dir / 'sender.db'}", data_dir)
    points = CrashPoints(point)
    client = AsyncWebClient(token, base_url=os.environ["SLACK_API_URL"], retry_handlers=[])
    outbox = OutboxSender(
        points.around("outbox", store.outbox_rows),
        points.around("slack", client),
        bot_name="threadsmith",
        on_dead=_dead,
    )
    store.on_enqueued = outbox.wake
    sending = asyncio.create_task(outbox.run())
    if point:
        await _enqueue(store, channel, number)
    sent = await outbox.drain(DRAIN_SECONDS)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await store.close()
    os._exit(0 if sent else 1)


async def _enqueue(store: SqlStore, channel: str, number: int) -> None:
    agent_id = f"a{number // POSTS_A_THREAD}"
    root = number % POSTS_A_THREAD == 0
    key = "root" if root else f"post:{number}"
    payload = {"text": f"post {number}"}
    async with store.transaction() as tx:
        if root:
            repo = RepoRef("o", "n")
            await tx.add_agent(
                Agent(agent_id, "T1", channel, None, repo, None, "b", "t", "m", 15, "U", 1.0)
            )
        await tx.enqueue(
            agent_id, Post(key, PostKind.MESSAGE, channel, None, Priority.ANSWER, payload)
        )


async def _dead(agent_id: str, key: str, code: str) -> None:
    raise AssertionError(f"{key} of {agent_id} was refused: {code}")


if __name__ == "__main__":
    main(*sys.argv[1:])
