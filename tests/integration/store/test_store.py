"""Agents, events, messages and claims survive as they were stored."""

import asyncio
from dataclasses import fields, replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateTable

from bot.domain.agent import Agent, AgentStatus, RepoRef, ThreadRef
from bot.domain.attachment import Attachment
from bot.domain.message import FIRST, Message, MessageKind
from bot.domain.posts import Post, PostKind, Priority
from bot.store import tables
from bot.store.agents import SqlStore
from bridge.protocol import ChatMode, MessageWritten, StepStarted, TextDelta, parse_event
from tests.integration.store.conftest import MakeAgent


def card(text: str, key: str = "card-1") -> Post:
    return Post(key, PostKind.MESSAGE, "C1", None, Priority.PROGRESS, {"text": text})


async def test_an_agent_comes_back_with_every_field(store: SqlStore, make_agent: MakeAgent) -> None:
    agent = make_agent(
        thread_ts="1.2",
        status=AgentStatus.WORKING,
        container_id="c",
        task_id="t",
        task_number=3,
        step=4,
        last_seq=99,
        cost_usd=0.25,
        base_commit="abc",
        repo=RepoRef("o", "n.x"),
    )
    async with store.transaction() as tx:
        await tx.add_agent(make_agent())
        await tx.save_agent(agent)
        assert await tx.agent(agent.id) == agent
    assert await store.agent(agent.id) == agent


def test_every_field_of_an_agent_has_a_column() -> None:
    names = {field.name for field in fields(Agent)} - {"repo"} | {"repo_owner", "repo_name"}
    assert names == set(tables.agent.columns.keys())


def test_every_field_of_a_message_has_a_column() -> None:
    assert {field.name for field in fields(Message)} < set(tables.message.columns.keys())


async def test_saving_with_no_thread_keeps_the_thread_that_the_sender_learned(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(make_agent(thread_ts="1.2"))
        await tx.save_agent(make_agent(title="new"))
    stored = await store.agent("k3f9ab")
    assert stored
    assert (stored.thread_ts, stored.title) == ("1.2", "new")


async def test_saving_an_agent_that_was_never_added_is_an_error(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    with pytest.raises(LookupError, match="k3f9ab"):
        async with store.transaction() as tx:
            await tx.save_agent(make_agent())


async def test_an_exception_rolls_everything_back(store: SqlStore, make_agent: MakeAgent) -> None:
    async def fail() -> None:
        async with store.transaction() as tx:
            await tx.add_agent(make_agent())
            await tx.enqueue("k3f9ab", card("x"))
            raise ValueError("half-way")

    with pytest.raises(ValueError, match="half-way"):
        await fail()
    assert await store.agent("k3f9ab") is None
    assert await store.outbox_rows.open() == []


async def test_text_that_no_database_can_hold_is_stored_readably(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(make_agent(title="a\0b\ud800c" + "x" * 100_000))
    stored = await store.agent("k3f9ab")
    assert stored
    assert stored.title.startswith("a\ufffdb?c")
    assert len(stored.title) == 100_005


async def test_a_thread_finds_the_living_agent_before_the_newest(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(make_agent("old", thread_ts="1.1", created_at=1.0))
        await tx.add_agent(
            make_agent("new", thread_ts="1.1", created_at=2.0, status=AgentStatus.STOPPED)
        )
        await tx.add_agent(make_agent("other", thread_ts="1.1", team="T2"))
    match = await store.agent_of_thread(ThreadRef("T1", "C1", "1.1"))
    assert match
    assert match.id == "old"
    assert await store.agent_of_thread(ThreadRef("T1", "C1", "9.9")) is None


async def test_a_message_finds_its_agent_by_root_and_by_post(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(make_agent(thread_ts="1.1"))
        await tx.enqueue("k3f9ab", card("x"))
    (row,) = await store.outbox_rows.open()
    await store.outbox_rows.begin(row.id)
    await store.outbox_rows.sent(row.id, 1, "5.5")
    for ts in ("1.1", "5.5"):
        match = await store.agent_of_message("T1", "C1", ts)
        assert match
        assert match.id == "k3f9ab"
    assert await store.agent_of_message("T1", "C2", "5.5") is None
    assert await store.agent_of_message("T2", "C1", "5.5") is None
    assert await store.agent_of_message("T1", "C1", "") is None


async def test_agents_are_listed_newest_first_alive_or_all(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(make_agent("a", created_at=1.0))
        await tx.add_agent(make_agent("b", created_at=2.0, channel="C2"))
        await tx.add_agent(make_agent("c", created_at=3.0, status=AgentStatus.LOST))
    assert [agent.id for agent in await store.agents()] == ["b", "a"]
    assert [agent.id for agent in await store.agents(alive=False)] == ["c", "b", "a"]
    assert [agent.id for agent in await store.agents(channel="C1")] == ["a"]


async def test_events_are_stored_once_in_order_and_passing_ones_not_at_all(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    first = StepStarted(seq=1, at=1.0, task_id="t1", step=1, max_steps=15)
    second = MessageWritten(seq=2, at=2.0, task_id="t2", text="hi\0 \U0001f600", final=True)
    newer = parse_event('{"type": "from_the_future", "seq": 3, "at": 3, "task_id": "t2", "x": 1}')
    async with store.transaction() as tx:
        await tx.add_agent(make_agent())
        await tx.add_events("k3f9ab", [second, newer, TextDelta(text="x")])
    async with store.transaction() as tx:
        await tx.add_events("k3f9ab", [first, second.model_copy(update={"text": "other"})])
        await tx.add_events("k3f9ab", [])
    assert await store.events("k3f9ab") == [first, second, newer]
    assert await store.events("k3f9ab", "t2") == [second, newer]
    assert await store.events("nobody") == []


async def test_events_are_asked_for_by_kind_by_task_and_from_the_newest(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    steps = [StepStarted(seq=n, at=1.0, task_id=f"t{n % 2}", step=n, max_steps=9) for n in (1, 3)]
    messages = [MessageWritten(seq=n, at=1.0, task_id="t0", text="x", final=True) for n in (2, 4)]
    other = parse_event('{"type": "from_the_future", "seq": 5, "at": 3, "task_id": "t0"}')
    async with store.transaction() as tx:
        await tx.add_agent(make_agent())
        await tx.add_agent(make_agent("other"))
        await tx.add_events("k3f9ab", [*steps, *messages, other])
    kinds = (StepStarted, MessageWritten)
    assert await store.events("k3f9ab", kinds=(StepStarted,)) == steps
    assert await store.events("k3f9ab", "t0", kinds=kinds) == messages
    assert await store.events("k3f9ab", kinds=kinds, newest=2) == [steps[1], messages[1]]
    assert await store.events("k3f9ab", kinds=()) == []
    assert await store.newest_event("k3f9ab", MessageWritten) == messages[1]
    assert await store.newest_event("k3f9ab", StepStarted, "t1") == steps[1]
    assert await store.newest_event("k3f9ab", StepStarted, "t0") is None
    assert await store.newest_event("other", StepStarted) is None


async def test_events_of_nobody_are_refused(store: SqlStore) -> None:
    with pytest.raises(DBAPIError):
        async with store.transaction() as tx:
            await tx.add_events("nobody", [StepStarted(seq=1, step=1, max_steps=2)])


async def test_a_message_is_claimed_once_by_its_ts_and_by_its_client_id(store: SqlStore) -> None:
    async with store.transaction() as tx:
        assert await tx.claim_message("T1", "C1", "1.1", "id-1")
        assert not await tx.claim_message("T1", "C1", "1.1")
        assert not await tx.claim_message("T1", "C1", "1.2", "id-1")
        assert await tx.claim_message("T1", "C1", "1.3")
        assert await tx.claim_message("T1", "C1", "1.4", "")
        assert await tx.claim_message("T1", "C2", "1.1", "id-2")


async def test_fifty_claims_at_once_have_one_winner(store: SqlStore) -> None:
    async def claim() -> bool:
        async with store.transaction() as tx:
            return await tx.claim_message("T1", "C1", "1.1")

    assert sum(await asyncio.gather(*(claim() for _ in range(50)))) == 1


async def test_messages_wait_in_order_until_they_are_delivered(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    first = Message(FIRST, "k3f9ab", "U1", "do it", "k3f9ab-1", kind=MessageKind.START)
    second = Message(
        "5.5", "k3f9ab", "U2", "and that", "k3f9ab-2", ChatMode.QUEUE, kind=MessageKind.REPLY
    )
    async with store.transaction() as tx:
        await tx.add_agent(make_agent())
        for message in (first, second, first):
            await tx.add_message(message)
    waiting = await store.undelivered("k3f9ab")
    assert [(message.id, message.order, message.mode) for message in waiting] == [
        (FIRST, 1, ChatMode.STEER),
        ("5.5", 2, ChatMode.QUEUE),
    ]
    async with store.transaction() as tx:
        await tx.message_delivered("k3f9ab", FIRST)
        await tx.message_delivered("k3f9ab", FIRST)
        await tx.message_delivered("k3f9ab", "unknown")
    assert [message.id for message in await store.undelivered("k3f9ab")] == ["5.5"]


@pytest.mark.parametrize("kind", MessageKind)
async def test_a_message_comes_back_as_it_was_stored(
    store: SqlStore, make_agent: MakeAgent, kind: MessageKind
) -> None:
    files = (Attachment("F1", "a.png"),)
    message = Message(
        "x:1", "k3f9ab", "U1", "text", "t", ChatMode.INTERRUPT, files=files, kind=kind
    )
    async with store.transaction() as tx:
        await tx.add_agent(make_agent())
        await tx.add_message(message)
        assert await tx.message("k3f9ab", "x:1") == replace(message, order=1)
        assert await tx.message("k3f9ab", "x:2") is None
        assert await tx.message("other", "x:1") is None
    assert await store.undelivered("k3f9ab") == [replace(message, order=1)]


async def test_the_sender_is_woken_after_the_commit_and_only_for_news(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    woken: list[bool] = []
    committed = False
    store.on_enqueued = lambda: woken.append(committed)
    async with store.transaction() as tx:
        await tx.add_agent(make_agent())
    assert woken == []
    async with store.transaction() as tx:
        await tx.enqueue("k3f9ab", card("one"))
        assert woken == []
        committed = True
    assert woken == [True]
    async with store.transaction() as tx:
        await tx.enqueue("k3f9ab", card("one"))
    assert woken == [True]


async def test_a_cancelled_transaction_leaves_the_store_usable(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        async with store.transaction() as tx:
            await tx.add_agent(make_agent("gone"))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    async with store.transaction() as tx:
        await tx.add_agent(make_agent("kept"))
    assert [agent.id for agent in await store.agents()] == ["kept"]


async def test_reads_do_not_wait_for_a_writer(store: SqlStore, make_agent: MakeAgent) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(make_agent())
        async with asyncio.timeout(2):
            assert await store.agent("k3f9ab") is None


async def test_a_reader_cannot_write(store: SqlStore) -> None:
    async with store._engines.reading() as connection:
        with pytest.raises(DBAPIError, match="readonly"):
            await connection.execute(text("DELETE FROM agent"))


async def test_nobody_else_may_read_the_files(store: SqlStore, tmp_path: Path) -> None:
    async with store.transaction() as tx:
        await tx.claim_message("T", "C", "1")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("bot.db*")}
    assert set(modes.values()) == {0o600}
    assert "bot.db-wal" in modes


def test_the_tables_are_plain_enough_for_postgres() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in tables.metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=dialect))


async def test_an_event_that_cannot_be_read_is_counted_and_in_the_way_of_no_other(
    store: SqlStore, make_agent: MakeAgent, caplog: pytest.LogCaptureFixture
) -> None:
    steps = [StepStarted(seq=n, at=1.0, task_id="t", step=n, max_steps=9) for n in range(1, 6)]
    damaged = '{"type": "step_started", "seq": 0, "step": null}'
    async with store.transaction() as tx:
        for name in ("k3f9ab", "other1"):
            await tx.add_agent(make_agent(name))
            await tx.add_events(name, steps)
        for seq in (2, 4, 5):
            await tx._connection.execute(
                text("UPDATE event SET body = :body WHERE agent_id = 'k3f9ab' AND seq = :seq"),
                {"body": damaged, "seq": seq},
            )
    assert [event.seq for event in await store.events("k3f9ab")] == [1, 3]
    kinds = (StepStarted,)
    assert [e.seq for e in await store.events("k3f9ab", kinds=kinds, newest=1)] == [3]
    assert [e.seq for e in await store.events("k3f9ab", "t", newest=2)] == [1, 3]
    assert [e.seq for e in await store.events("k3f9ab", newest=9)] == [1, 3]
    assert await store.newest_event("k3f9ab", StepStarted) == steps[2]
    assert (store.unreadable_events("k3f9ab"), store.unreadable_events("other1")) == (3, 0)
    # Once for all, not for each reading.
    [record] = [record for record in caplog.records if "cannot be read" in record.message]
    assert record.message.startswith("3 more events of k3f9ab")
    assert await store.events("other1") == steps
