"""What Slack sends is stored before it is acknowledged, and runs again when it was cut short."""

import asyncio
import copy
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncBoltRequest
from slack_bolt.listener.async_listener_completion_handler import (
    AsyncCustomListenerCompletionHandler,
)
from slack_sdk.web.async_client import AsyncWebClient
from sqlalchemy import text

from bot.slack.inbox import Inbox, key_of
from bot.store.agents import SqlStore

MENTION = {
    "type": "event_callback",
    "event_id": "Ev1",
    "team_id": "T1",
    "event": {"type": "app_mention", "user": "U1", "channel": "C1", "ts": "1.1", "text": "hi"},
}
COMMAND = {
    "command": "/agent",
    "text": "list",
    "trigger_id": "1.2.abc",
    "team_id": "T1",
    "user_id": "U1",
    "channel_id": "C1",
    "response_url": "http://127.0.0.1/answer",
}
FORM = {
    "type": "view_submission",
    "team": {"id": "T1"},
    "user": {"id": "U1"},
    "view": {
        "id": "V1",
        "hash": "1.x",
        "type": "modal",
        "callback_id": "start",
        "state": {"values": {}},
    },
}


@dataclass
class Bot:
    """A Bolt app with one listener of each kind; `seen` is what they were handed."""

    store: SqlStore
    client: AsyncWebClient
    seen: list[Any] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    block: asyncio.Event | None = None
    fail: bool = False
    errors: list[Exception] = field(default_factory=list)
    form_errors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.store.inbox_rows)
        self.app = AsyncApp(name="tests", client=self.client)
        self.app.use(self.inbox.middleware)
        self.app.event("app_mention")(self.inbox.finishes(self.on_event))
        self.app.command("/agent")(self.inbox.finishes(self.on_command))
        self.app.view("start")(self.inbox.finishes(self.on_form))
        self.app.error(self.on_error)
        self.app.listener_runner.listener_completion_handler = AsyncCustomListenerCompletionHandler(
            self.app.logger, self.on_end
        )

    async def on_end(self) -> None:
        self.ended.set()

    async def on_event(self, event: dict[str, Any], context: AsyncBoltContext) -> None:
        await self.note(event["text"])

    async def on_command(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack("at once")
        await self.note(body["text"])

    async def on_form(self, ack: AsyncAck) -> None:
        if self.form_errors:
            await ack(response_action="errors", errors=self.form_errors)
        else:
            await ack()
        await self.note("form")

    async def on_error(self, error: Exception) -> None:
        self.errors.append(error)

    async def note(self, what: str) -> None:
        self.seen.append(what)
        self.arrived.set()
        if self.block:
            await self.block.wait()
        if self.fail:
            raise RuntimeError("the listener failed")

    async def receive(self, body: dict[str, Any], *, to_the_end: bool = True) -> BoltResponse:
        self.ended.clear()
        request = AsyncBoltRequest(mode="socket_mode", body=copy.deepcopy(body))
        response = await self.app.async_dispatch(request)
        if to_the_end:
            await asyncio.wait_for(self.ended.wait(), 5)
        return response

    async def unfinished(self) -> list[int]:
        return [row.id for row in await self.store.inbox_rows.unfinished()]


@pytest.fixture
def bot(store: SqlStore, client: AsyncWebClient) -> Bot:
    return Bot(store, client)


async def crash(bot: Bot) -> None:
    """Cancel the listeners that are at work, as the end of a process does."""
    for task in asyncio.all_tasks():
        if "run_ack_function_asynchronously" in repr(task):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("body", [MENTION, COMMAND, FORM], ids=["event", "command", "form"])
async def test_the_second_delivery_is_acknowledged_and_has_no_effect(
    bot: Bot, body: dict[str, Any]
) -> None:
    assert (await bot.receive(body)).status == 200
    assert (await bot.receive(body, to_the_end=False)).status == 200
    assert len(bot.seen) == 1
    assert await bot.unfinished() == []


async def test_many_deliveries_at_once_have_one_effect(bot: Bot) -> None:
    answers = await asyncio.gather(*(bot.receive(MENTION, to_the_end=False) for _ in range(20)))
    await asyncio.wait_for(bot.ended.wait(), 5)
    assert {answer.status for answer in answers} == {200}
    assert bot.seen == ["hi"]


async def test_nothing_is_acknowledged_when_it_cannot_be_stored(bot: Bot, store: SqlStore) -> None:
    async with store._engines.writing() as connection:
        await connection.execute(text("ALTER TABLE inbox RENAME TO away"))
    assert (await bot.receive(MENTION, to_the_end=False)).status == 500
    assert bot.seen == []
    assert len(bot.errors) == 1
    async with store._engines.writing() as connection:
        await connection.execute(text("ALTER TABLE away RENAME TO inbox"))
    assert (await bot.receive(MENTION)).status == 200
    assert bot.seen == ["hi"]


async def test_the_input_is_stored_before_the_acknowledgement(bot: Bot) -> None:
    bot.block = asyncio.Event()
    assert (await bot.receive(MENTION, to_the_end=False)).status == 200
    (row,) = await bot.store.inbox_rows.unfinished()
    assert row.body == MENTION
    bot.block.set()
    await asyncio.wait_for(bot.ended.wait(), 5)
    assert await bot.unfinished() == []


async def crash_at_work(bot: Bot) -> None:
    """Ends the process while its two listeners are at work."""
    bot.block = asyncio.Event()
    await bot.receive(MENTION, to_the_end=False)
    await bot.receive(COMMAND, to_the_end=False)
    while len(bot.seen) < 2:
        bot.arrived.clear()
        await bot.arrived.wait()
    await crash(bot)


async def test_a_listener_cut_short_runs_again_at_the_next_start(
    bot: Bot, store: SqlStore, client: AsyncWebClient
) -> None:
    await crash_at_work(bot)
    assert len(await bot.unfinished()) == 2

    again = Bot(store, client)
    assert await again.inbox.replay(again.app) == 2
    while len(again.seen) < 2 or await again.unfinished():
        again.ended.clear()
        await asyncio.wait_for(again.ended.wait(), 5)
    assert again.seen == ["hi", "list"]
    assert await again.inbox.replay(again.app) == 0
    assert (await again.receive(MENTION, to_the_end=False)).status == 200
    assert again.seen == ["hi", "list"]


async def test_what_is_at_work_is_not_replayed(bot: Bot) -> None:
    bot.block = asyncio.Event()
    await bot.receive(MENTION, to_the_end=False)
    assert await bot.inbox.replay(bot.app) == 0
    bot.block.set()
    await asyncio.wait_for(bot.ended.wait(), 5)
    assert bot.seen == ["hi"]


async def test_a_failed_listener_is_reported_once_and_not_replayed(bot: Bot) -> None:
    bot.fail = True
    await bot.receive(MENTION)
    assert [str(error) for error in bot.errors] == ["the listener failed"]
    assert await bot.inbox.replay(bot.app) == 0


async def test_an_input_that_ends_the_process_each_time_is_given_up(
    bot: Bot, store: SqlStore, client: AsyncWebClient
) -> None:
    bot.block = asyncio.Event()
    await bot.receive(MENTION, to_the_end=False)
    await crash(bot)
    replays = []
    for _ in range(5):
        again = Bot(store, client, block=asyncio.Event())
        replays.append(await again.inbox.replay(again.app))
        await crash(again)
    assert replays == [1, 1, 1, 0, 0]


async def test_an_input_whose_replay_fails_does_not_keep_the_bot_from_starting(
    bot: Bot, store: SqlStore, client: AsyncWebClient
) -> None:
    await crash_at_work(bot)

    async def fail(body: dict[str, Any], next: Any) -> None:  # noqa: A002  (Bolt's name)
        if "event" in body:
            raise ValueError("a bug")
        await next()

    async def fail_too(error: Exception) -> None:
        raise error

    again = Bot(store, client)
    again.app.use(fail)
    again.app.error(fail_too)
    assert await again.inbox.replay(again.app) == 1
    while "list" not in again.seen:
        again.arrived.clear()
        await asyncio.wait_for(again.arrived.wait(), 5)
    assert len(await again.unfinished()) >= 1  # the next start tries the other one again


async def test_a_replay_without_a_listener_is_done(bot: Bot) -> None:
    body = {"type": "event_callback", "event_id": "Ev9", "event": {"type": "channel_rename"}}
    assert (await bot.receive(body, to_the_end=False)).status == 404
    again = Bot(bot.store, bot.client)
    assert await again.inbox.replay(again.app) == 1
    assert await again.unfinished() == []


async def test_a_form_answered_with_errors_may_be_sent_again_unchanged(bot: Bot) -> None:
    bot.form_errors = {"repo": "not found"}
    response = await bot.receive(FORM)
    assert json.loads(response.body)["response_action"] == "errors"
    bot.form_errors = {}
    await bot.receive(FORM)
    await bot.receive(FORM, to_the_end=False)
    assert bot.seen == ["form", "form"]


async def test_a_body_cannot_claim_to_be_a_replay(bot: Bot) -> None:
    await bot.receive({**MENTION, "threadsmith_replay": 1, "context": {"threadsmith_replay": 1}})
    await bot.receive({**MENTION, "threadsmith_replay": 1}, to_the_end=False)
    assert bot.seen == ["hi"]


async def test_a_finished_input_leaves_no_addresses_behind(bot: Bot, store: SqlStore) -> None:
    await bot.receive(COMMAND)
    async with store._engines.reading() as connection:
        found = (await connection.execute(text("SELECT body FROM inbox"))).all()
    assert [row.body for row in found] == ["{}"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (MENTION, {**MENTION, "event_time": 5}, True),
        (MENTION, {**MENTION, "event_id": "Ev2"}, False),
        (COMMAND, {**COMMAND, "text": "x"}, True),
        (COMMAND, {**COMMAND, "trigger_id": "2"}, False),
        (FORM, {**FORM, "trigger_id": "2"}, True),
        (FORM, {**FORM, "view": {"id": "V1", "hash": "1.x", "state": {"a": 1}}}, False),
        ({"type": "a", "trigger_id": "1"}, {"type": "b", "trigger_id": "1"}, False),
        ({"type": "block_actions"}, {"type": "block_actions", "message": {}}, False),
        ({"type": "event_callback", "event": {}}, {"type": "event_callback", "event": {}}, True),
    ],
)  # fmt: skip
def test_keys_tell_inputs_apart(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert (key_of(one) == key_of(other)) is same


@pytest.mark.parametrize("body", [{}, {"type": "block_suggestion"}, {"type": "view_closed"}])
def test_what_changes_nothing_is_not_stored(body: dict[str, Any]) -> None:
    assert key_of(body) is None
