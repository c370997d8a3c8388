"""The same input many times, twins in any order, many replies at once: each has one effect."""

import re
import sqlite3
from contextlib import closing

import pytest

from playground.slack.slack_state import BOT_USER_ID, SlackMessage
from tests.e2e.conftest import Stage
from tests.faults.ledger import database, ledger

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(95),
]

REPLIES = 50
ONE_BY_ONE = 10


def written(stage: Stage, text: str, thread: str | None = None, twin: str = "") -> SlackMessage:
    """A message that is in the channel and that the bot has not heard of yet."""
    slack, ana = stage.playground.slack, stage.person()
    message = SlackMessage(
        channel=ana.channel("dev").id,
        ts=slack.state.next_ts(),
        user=ana.user.id,
        text=text,
        thread_ts=thread,
        client_msg_id=twin or slack.state.next_token("message"),
    )
    slack.state.add(message)
    return message


async def ended(stage: Stage, thread: str) -> None:
    await stage.person().say("stop", "dev", thread)
    await stage.said("Stopped by", thread, "dev")
    await stage.no_containers()


def agents(stage: Stage, words: str) -> int:
    with closing(sqlite3.connect(database(stage.bot.data_dir))) as connection:
        query = "SELECT count(*) FROM agent WHERE title LIKE ?"
        return int(connection.execute(query, (f"%{words}%",)).fetchone()[0])


@pytest.mark.parametrize("order", [("message", "app_mention"), ("app_mention", "message")])
async def test_a_mention_delivered_four_times_with_its_twin_starts_one_agent(
    stage: Stage, leftovers: None, order: tuple[str, str]
) -> None:
    slack = stage.playground.slack
    words = f"tell me of {order[0]} first"
    message = written(stage, f"<@{BOT_USER_ID}> demo/todo {words}")
    payloads = {
        "message": slack.payloads.message(message),
        "app_mention": slack.payloads.app_mention(message),
    }
    for kind in order:
        for _ in range(4):
            slack.delivery.event(payloads[kind])
    await slack.delivery.idle()
    await stage.said("scripted model", message.ts, "dev")
    assert agents(stage, words) == 1
    assert len(stage.bot.containers()) == 1
    await ended(stage, message.ts)
    assert len([m for m in stage.person().thread("dev", message.ts) if "🤖" in m["text"]]) == 1


async def test_one_reply_four_times_and_under_two_timestamps_is_one_task(
    stage: Stage, leftovers: None
) -> None:
    slack = stage.playground.slack
    thread = await stage.person().say("demo/todo say hello", "dev", mention=True)
    await stage.said("scripted model", thread, "dev")
    reply = written(stage, "and what now?", thread)
    twin = written(stage, "and what now?", thread, str(reply.client_msg_id))
    for payload in (slack.payloads.message(reply), slack.payloads.message(twin)):
        for _ in range(4):
            slack.delivery.event(payload)
    await slack.delivery.idle()
    await stage.said("This is task 2", thread, "dev")
    await stage.person().say("and after that?", "dev", thread)
    await stage.said("This is task 3", thread, "dev")
    answers = [m["text"] for m in stage.person().thread("dev", thread)]
    assert len([text for text in answers if "and what now" in text]) == 3  # two asked, one told
    await ended(stage, thread)


async def test_fifty_replies_at_once_are_each_taken_up_once_and_in_order(
    stage: Stage, leftovers: None
) -> None:
    ana = stage.person()
    thread = await ana.say("demo/todo say hello", "dev", mention=True)
    await stage.said("scripted model", thread, "dev")
    await stage.said("✓ *Task 1*", thread, "dev")
    for number in range(REPLIES):
        await ana.say(f"reply {number}.", "dev", thread)
    await stage.playground.slack.delivery.idle()
    await stage.playground.feed.until(
        lambda: " ".join(_asked(stage)).count("reply ") == REPLIES or None, 60
    )
    await stage.bot.end()
    await stage.bot.start()
    last = await ana.say("the last one", "dev", thread)
    await stage.said("the last one", thread, "dev")
    taken = [
        event["message_id"]
        for event in ledger(stage, thread, "dev").events
        if event["type"] in {"task_started", "message_taken_up"} and "." in str(event["message_id"])
    ]
    # Slack promises no order of events that it sends at once; ours is the order of storing them.
    assert taken == [*sorted(_stored(stage, thread), key=float), last]
    seen = re.findall(r"reply (\d+)\.", " ".join(_asked(stage)))
    assert sorted(seen, key=int) == [str(number) for number in range(REPLIES)]
    await ended(stage, thread)


async def test_replies_one_after_the_other_are_taken_up_in_their_order(
    stage: Stage, leftovers: None
) -> None:
    ana = stage.person()
    thread = await ana.say("demo/todo say hello", "dev", mention=True)
    await stage.said("scripted model", thread, "dev")
    for number in range(ONE_BY_ONE):
        await ana.say(f"reply {number}.", "dev", thread)
        await stage.playground.slack.delivery.idle()
    wanted = [str(number) for number in range(ONE_BY_ONE)]
    await stage.playground.feed.until(
        lambda: re.findall(r"reply (\d+)\.", " ".join(_asked(stage))) == wanted or None, 60
    )
    await ended(stage, thread)


def _stored(stage: Stage, thread: str) -> list[str]:
    """The replies of a thread in the order in which the bot took them."""
    agent_id = ledger(stage, thread, "dev").agent_id
    with closing(sqlite3.connect(database(stage.bot.data_dir))) as connection:
        query = 'SELECT id FROM message WHERE agent_id = ? AND id LIKE ? ORDER BY "order"'
        found = connection.execute(query, (agent_id, "%.%")).fetchall()
    return [str(row[0]) for row in found][:REPLIES]


def _asked(stage: Stage) -> list[str]:
    """What people said in the newest conversation that the model was shown."""
    messages = stage.playground.model.requests[-1].messages
    return [str(message.get("content")) for message in messages if message["role"] == "user"]
