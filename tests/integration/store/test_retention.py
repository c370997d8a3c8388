"""What the database forgets: bounded over months, and nothing that somebody still needs."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import text

from bot.domain.agent import Agent, AgentStatus, RepoRef
from bot.domain.budget import BudgetScope
from bot.domain.message import Message, MessageKind
from bot.domain.posts import Post, PostKind, Priority
from bot.domain.usage import CostSource, ModelCall, Settled, UsageTotals
from bot.store import tables
from bot.store.agents import SqlStore
from bridge.protocol import MessageWritten

DAY = 86_400.0
START = 1_700_000_000.0
AGENT = Agent("a", "T", "C", None, RepoRef("o", "n"), None, "b", "t", "m", 15, "U", START)


async def live(store: SqlStore, agent_id: str, now: float, status: AgentStatus) -> None:
    """An agent as a day leaves it, with a row of everything."""
    agent = replace(AGENT, id=agent_id, status=status, created_at=now, status_since=now)
    root = Post("root", PostKind.MESSAGE, "C", None, Priority.NOTICE, {"text": "root"})
    async with store.transaction() as tx:
        await tx.add_agent(agent)
        await tx.add_message(
            Message("start", agent_id, "U", "fix", f"{agent_id}-1", kind=MessageKind.START)
        )
        text = MessageWritten(at=now, seq=1, task_id="t", text="done", final=True)
        await tx.add_events(agent_id, [text])
        await tx.enqueue(agent_id, root)
        await tx.claim_message("T", "C", agent_id)
    row_id = await store.inbox_rows.store(f"event {agent_id}", {"n": 1})
    assert row_id
    async with store._engines.writing() as connection:
        await connection.execute(
            tables.claim.update().values(claimed_at=now).where(tables.claim.c.ts == agent_id)
        )
        done = tables.inbox.update().values(done_at=now, received_at=now)
        await connection.execute(done.where(tables.inbox.c.id == row_id))


async def counts(store: SqlStore) -> Counter[str]:
    numbers: Counter[str] = Counter()
    async with store._engines.reading() as connection:
        for name in ("inbox", "claim", "event", "outbox", "message", "agent"):
            rows = await connection.execute(text(f"SELECT count(*) FROM {name}"))
            numbers[name] = rows.scalar_one()
    return numbers


async def test_ninety_days_stay_bounded_and_living_agents_whole(store: SqlStore) -> None:
    await live(store, "old-and-alive", START, AgentStatus.SLEEPING)
    most: Counter[str] = Counter()
    for day in range(1, 91):
        now = START + day * DAY
        await live(store, f"day-{day}", now - 60, AgentStatus.STOPPED)
        await store.retention.prune(now)
        most |= await counts(store)
    assert most["inbox"] <= 2
    assert most["claim"] <= 2
    for name in ("event", "outbox", "message"):
        assert most[name] <= 31 + 1, name
    assert len(await store.events("old-and-alive")) == 1
    assert len(await store.undelivered("old-and-alive")) == 1
    assert len(await store.agents(alive=False)) == 91


async def test_an_unfinished_input_is_kept_however_old(store: SqlStore) -> None:
    await store.inbox_rows.store("event 1", {"n": 1})
    pruned = await store.retention.prune(time.time() + 400 * DAY)
    assert pruned.inputs == 0
    assert len(await store.inbox_rows.unfinished()) == 1


async def test_a_claim_holds_for_a_day(store: SqlStore) -> None:
    async with store.transaction() as tx:
        assert await tx.claim_message("T", "C", "1.1")
    await store.retention.prune(time.time() + DAY - 60)
    assert await store.is_claimed("T", "C", "1.1")
    await store.retention.prune(time.time() + DAY + 60)
    assert not await store.is_claimed("T", "C", "1.1")


async def test_more_rows_than_one_transaction_takes_all_go(store: SqlStore) -> None:
    async with store.transaction() as tx:
        for number in range(2_500):
            await tx.claim_message("T", "C", str(number))
    pruned = await store.retention.prune(time.time() + 2 * DAY)
    assert (pruned.claims, pruned.total) == (2_500, 2_500)


async def test_pruning_empties_the_write_ahead_log(store: SqlStore) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(AGENT)
    path = store._engines.writer.url.database
    assert path
    log = Path(f"{path}-wal")
    assert log.stat().st_size > 0
    await store.retention.prune(START)
    assert log.stat().st_size == 0


def call_at(number: int, at: float, agent_id: str = "a", model: str = "m") -> ModelCall:
    return ModelCall(f"c{number:05}", agent_id, "t", "T", "U", "C", model, 1_000, at)


async def made(store: SqlStore, calls: Sequence[ModelCall], *, settle: bool = True) -> None:
    async with store.transaction() as tx:
        for call in calls:
            await tx.add_call(call)
            if settle:
                usage = UsageTotals(10, 2, None if call.nano % 2 else 5, None, provider="p")
                await tx.settle_call(call.id, Settled(usage, 1_001, CostSource.PROVIDER))


async def test_calls_of_old_days_are_added_up_and_no_total_changes(store: SqlStore) -> None:
    today = START // DAY * DAY + 100 * DAY
    calls = [
        call_at(n, today - DAY * (n % 100) - n % 7 * 3_600 + 1, f"a{n % 2}", f"m{n % 3}")
        for n in range(3_000)
    ]
    await made(store, calls)
    await made(store, [call_at(9_000, 1.0)], settle=False)  # under way, by a clock gone wrong
    own = call_at(0, today, "a1")

    async def totals() -> tuple[object, ...]:
        async with store.transaction() as tx:
            used = await tx.used(own, today, BudgetScope)
            spent = [await tx.spent(agent_id) for agent_id in ("a", "a0", "a1")]
        return used, spent, await store.usage_rows.sums("T", since=0.0)

    async def rows() -> int:
        return len(await store.usage_rows.lines("T", since=0.0, limit=10_000))

    before = await totals()
    store.retention.keep_calls_days = 30.0
    pruned = await store.retention.prune(today + 60)
    assert await totals() == before
    assert await rows() == 3_001 - pruned.calls
    young = [call for call in calls if call.at >= today - 30 * DAY]
    assert len(await store.usage_rows.lines("T", since=today - 30 * DAY, limit=10_000)) == len(
        young
    )
    # Each old day of an agent and a model is one row, and stays it.
    assert await rows() <= len(young) + 1 + 71 * 2 * 3
    assert (await store.retention.prune(today + 60)).calls == 0
    async with store.transaction() as tx:
        settled = Settled(UsageTotals(), 7, CostSource.PROVIDER)
        assert await tx.settle_call("c09000", settled) == "a"


async def test_a_cursor_never_goes_back(store: SqlStore) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(AGENT)
        await tx.note_read("a", "1700000002.000100")
        await tx.note_read("a", "1700000001.000100")
        await tx.save_agent(replace(AGENT, step=3))
    stored = await store.agent("a")
    assert stored
    assert (stored.read_ts, stored.step) == ("1700000002.000100", 3)
