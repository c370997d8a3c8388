"""What a commit of the bot's store costs against the same rows written by the bare driver."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.report import Row, Sample
from bot.domain.agent import Agent, AgentStatus, RepoRef
from bot.domain.posts import Post, PostKind, Priority
from bot.store.agents import SqlStore
from bridge.protocol import StepStarted

_ROUNDS, _COMMITS = 3, 100
_AGENT = Agent(
    id="k3f9ab", team="T1", channel="C1", thread_ts="1.0", repo=RepoRef("acme", "api"),
    source_branch="main", target_branch="agent/k3f9ab", title="a task", model="m", max_steps=15,
    started_by="U1", created_at=1.0, status=AgentStatus.WORKING,
)  # fmt: skip
_TEXT = "A line of a card. " * 60


async def measure(scratch: Path) -> list[Row]:
    """One commit: the agent saved, an event stored, the card put into the outbox."""
    ours: list[float] = []
    floor: list[float] = []
    store = await SqlStore.open(f"sqlite:///{scratch / 'store.db'}", scratch)
    try:
        async with store.transaction() as transaction:
            await transaction.add_agent(_AGENT)
        with closing(_bare(scratch / "bare.db")) as connection:
            for number in range(_ROUNDS):
                ours += await _commits(store, number * _COMMITS)
                floor += _bare_commits(connection, number * _COMMITS)
    finally:
        await store.close()
    return [
        Row(
            "a commit: agent, event, outbox",
            Sample.milliseconds(ours),
            Sample.milliseconds(floor),
            "three statements by sqlite3, WAL",
        ),
        Row(
            "  commits per second (more is better)",
            Sample("/s", (len(ours) / sum(ours),)),
            Sample("/s", (len(floor) / sum(floor),)),
            "same",
        ),
    ]


async def _commits(store: SqlStore, start: int) -> list[float]:
    times = []
    for number in range(start + 1, start + _COMMITS + 1):
        began = time.monotonic()
        async with store.transaction() as transaction:
            await transaction.save_agent(_AGENT)
            event = StepStarted(seq=number, step=number, max_steps=1_000)
            await transaction.add_events(_AGENT.id, [event])
            await transaction.enqueue(_AGENT.id, _card(number))
        times.append(time.monotonic() - began)
    return times


def _card(number: int) -> Post:
    payload = {"text": f"step {number}", "blocks": [{"type": "markdown", "text": _TEXT}]}
    return Post("card-1", PostKind.MESSAGE, "C1", "1.0", Priority.PROGRESS, payload)


def _bare(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        "CREATE TABLE agent (id TEXT PRIMARY KEY, body TEXT);"
        "CREATE TABLE event (agent_id TEXT, seq INTEGER, body TEXT, UNIQUE (agent_id, seq));"
        "CREATE TABLE outbox (id TEXT PRIMARY KEY, body TEXT);"
        "INSERT INTO agent VALUES ('k3f9ab', ''); INSERT INTO outbox VALUES ('card-1', '');"
    )
    return connection


def _bare_commits(connection: sqlite3.Connection, start: int) -> list[float]:
    times = []
    for number in range(start + 1, start + _COMMITS + 1):
        began = time.monotonic()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE agent SET body = ? WHERE id = 'k3f9ab'", (repr(_AGENT),))
        event = StepStarted(seq=number, step=number, max_steps=1_000).model_dump_json()
        connection.execute("INSERT INTO event VALUES ('k3f9ab', ?, ?)", (number, event))
        card = json.dumps(dict(_card(number).payload))
        connection.execute("UPDATE outbox SET body = ? WHERE id = 'card-1'", (card,))
        connection.execute("COMMIT")
        times.append(time.monotonic() - began)
    return times
