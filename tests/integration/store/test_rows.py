"""The rows of the outbox and the inbox: versions, states, and what is forgotten."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.domain.posts import (
    OpenRow,
    Post,
    PostKind,
    Priority,
)
from bot.store.agents import SqlStore
from tests.integration.store.conftest import MakeAgent

AGENT = "k3f9ab"
ROOT = Post("root", PostKind.MESSAGE, "C1", None, Priority.NOTICE, {"text": "root"})
CARD = Post("card", PostKind.MESSAGE, "C1", None, Priority.PROGRESS, {"text": "1", "blocks": []})


@pytest.fixture
async def rows(store: SqlStore, make_agent: MakeAgent) -> SqlStore:
    async with store.transaction() as tx:
        await tx.add_agent(make_agent(AGENT))
    return store


async def enqueue(store: SqlStore, *posts: Post) -> list[OpenRow]:
    async with store.transaction() as tx:
        for post in posts:
            await tx.enqueue(AGENT, post)
    return list(await store.outbox_rows.open())


async def test_the_same_content_again_is_no_new_version(rows: SqlStore) -> None:
    (row,) = await enqueue(rows, CARD, CARD)
    content = await rows.outbox_rows.begin(row.id)
    assert content
    assert (content.version, content.payload) == (1, CARD.payload)
    await rows.outbox_rows.sent(row.id, 1, "2.2")
    assert await enqueue(rows, CARD) == []


async def test_content_that_changes_while_it_is_sent_is_sent_again(rows: SqlStore) -> None:
    (row,) = await enqueue(rows, CARD)
    await rows.outbox_rows.begin(row.id)
    await enqueue(rows, replace(CARD, payload={"text": "2"}))
    await rows.outbox_rows.sent(row.id, 1, "2.2")
    (again,) = await rows.outbox_rows.open()
    assert (again.state, again.ts) == ("pending", "2.2")
    content = await rows.outbox_rows.begin(row.id)
    assert content
    assert (content.version, content.sent_version, content.payload) == (2, 1, {"text": "2"})


async def test_the_ts_of_the_root_becomes_the_thread_of_all_other_posts(rows: SqlStore) -> None:
    root, card = await enqueue(rows, ROOT, CARD)
    assert card.thread_ts is None
    await rows.outbox_rows.begin(root.id)
    await rows.outbox_rows.sent(root.id, 1, "1.1")
    (card,) = await rows.outbox_rows.open()
    assert card.thread_ts == "1.1"
    agent = await rows.agent(AGENT)
    assert agent
    assert agent.thread_ts == "1.1"


async def test_a_root_inside_a_thread_leaves_the_thread_as_it_is(rows: SqlStore) -> None:
    (root,) = await enqueue(rows, replace(ROOT, thread_ts="0.5"))
    assert root.thread_ts == "0.5"
    await rows.outbox_rows.begin(root.id)
    await rows.outbox_rows.sent(root.id, 1, "1.1")
    agent = await rows.agent(AGENT)
    assert agent
    assert agent.thread_ts == "0.5"


async def test_a_refused_version_is_followed_by_the_next_unless_the_place_is_gone(
    rows: SqlStore,
) -> None:
    (row,) = await enqueue(rows, CARD)
    await rows.outbox_rows.begin(row.id)
    assert await rows.outbox_rows.bury(row.id, 1, error="no_text", gone=False)
    outcome = await rows.outbox_rows.outcome(AGENT, "card")
    assert outcome
    assert (outcome.error, outcome.settled) == ("no_text", True)
    assert len(await enqueue(rows, replace(CARD, payload={"text": "2"}))) == 1
    assert not await rows.outbox_rows.bury(row.id, 2, error="no_text", gone=False)
    await enqueue(rows, replace(CARD, payload={"text": "3"}))
    assert await rows.outbox_rows.bury(row.id, 3, error="is_archived", gone=True)
    assert await enqueue(rows, replace(CARD, payload={"text": "4"})) == []
    assert await rows.outbox_rows.begin(row.id) is None


async def test_a_newer_version_survives_the_refusal_of_an_older_one(rows: SqlStore) -> None:
    (row,) = await enqueue(rows, CARD)
    await rows.outbox_rows.begin(row.id)
    await enqueue(rows, replace(CARD, payload={"text": "2"}))
    await rows.outbox_rows.bury(row.id, 1, error="msg_too_long", gone=False)
    (row,) = await rows.outbox_rows.open()
    assert row.state == "pending"


async def test_a_post_that_cannot_be_stored_is_an_error_and_changes_nothing(
    rows: SqlStore,
) -> None:
    with pytest.raises(TypeError):
        await enqueue(rows, replace(CARD, payload={"text": object()}))
    assert await rows.outbox_rows.open() == []


async def test_posts_of_one_key_belong_to_one_agent(rows: SqlStore, make_agent: MakeAgent) -> None:
    async with rows.transaction() as tx:
        await tx.add_agent(make_agent("second"))
        await tx.enqueue("second", CARD)
    assert len(await enqueue(rows, CARD)) == 2


async def test_an_input_is_stored_once_and_listed_until_it_is_finished(store: SqlStore) -> None:
    inbox = store.inbox_rows
    first = await inbox.store("event E1", {"n": 1, "text": "\ud800\0"})
    second = await inbox.store("event E2", {"n": 2})
    assert first is not None
    assert second is not None
    assert await inbox.store("event E1", {"n": 3}) is None
    assert [row.body["n"] for row in await inbox.unfinished()] == [1, 2]
    await inbox.finish(first)
    await inbox.count_attempt(second)
    assert [(row.id, row.attempts) for row in await inbox.unfinished()] == [(second, 1)]
    assert await inbox.store("event E1", {"n": 4}) is None
    await inbox.forget(second)
    assert await inbox.store("event E2", {"n": 5}) is not None


async def test_an_input_is_on_the_disk_before_it_counts_as_stored(store: SqlStore) -> None:
    for durable, synchronous in ((True, 2), (False, 1), (True, 2), (True, 2), (False, 1)):
        async with store._engines.writing(durable=durable) as connection:
            pragma = await connection.execute(text("PRAGMA synchronous"))
            assert pragma.scalar_one() == synchronous
