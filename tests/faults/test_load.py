"""The same input many times, twins in any order, many replies at once: each has one effect."""

import re
import sqlite3
from contextlib import closing

import pytest

from playground.slack.slack_state import BOT_USER_ID, SlackMessage
from tests.e2e.conftest import Deployment
from tests.faults.ledger import database, ledger

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(95),
]

REPLIES = 50
ONE_BY_ONE = 10


def written(
    deployment: Deployment, text: str, thread: str | None = None, twin: str = ""
) -> SlackMessage:
    """A message that is in the channel and that the bot has not heard of yet."""
    slack, ana = deployment.playground.slack, deployment.person()
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


async def ended(deployment: Deployment, thread: str) -> None:
    await deployment.person().say("stop", "dev", thread)
    await deployment.wait_for_reply("Stopped by", thread, "dev")
    await deployment.no_containers()


def agents(deployment: Deployment, words: str) -> int:
    with closing(sqlite3.connect(database(deployment.bot.data_dir))) as connection:
        query = "SELECT count(*) FROM agent WHERE title LIKE ?"
        return int(connection.execute(query, (f"%{words}%",)).fetchone()[0])


@pytest.mark.parametrize("order", [("message", "app_mention"), ("app_mention", "message")])
async def test_a_mention_delivered_four_times_with_its_twin_starts_one_agent(
    deployment: Deployment, leftovers: None, order: tuple[str, str]
) -> None:
    slack = deployment.playground.slack
    words = f"tell me of {order[0]} first"
    message = written(deployment, f"<@{BOT_USER_ID}> demo/todo {words}")
    payloads = {
        "message": slack.payloads.message(message),
        "app_mention": slack.payloads.app_mention(message),
    }
    for kind in order:
        for _ in range(4):
            slack.delivery.event(payloads[kind])
    await slack.delivery.idle()
    await deployment.wait_for_reply("scripted model", message.ts, "dev")
    assert agents(deployment, words) == 1
    assert len(deployment.bot.containers()) == 1
    await ended(deployment, message.ts)
    assert len([m for m in deployment.person().thread("dev", message.ts) if "🤖" in m["text"]]) == 1


async def test_one_reply_four_times_and_under_two_timestamps_is_one_task(
    deployment: Deployment, leftovers: None
) -> None:
    slack = deployment.playground.slack
    thread = await deployment.person().say("demo/todo say hello", "dev", mention=True)
    await deployment.wait_for_reply("scripted model", thread, "dev")
    reply = written(deployment, "and what now?", thread)
    twin = written(deployment, "and what now?", thread, str(reply.client_msg_id))
    for payload in (slack.payloads.message(reply), slack.payloads.message(twin)):
        for _ in range(4):
            slack.delivery.event(payload)
    await slack.delivery.idle()
    await deployment.wait_for_reply("This is task 2", thread, "dev")
    await deployment.person().say("and after that?", "dev", thread)
    await deployment.wait_for_reply("This is task 3", thread, "dev")
    answers = [m["text"] for m in deployment.person().thread("dev", thread)]
    assert len([text for text in answers if "and what now" in text]) == 3  # two asked, one told
    await ended(deployment, thread)


async def test_replies_one_after_the_other_are_taken_up_in_their_order(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person()
    thread = await ana.say("demo/todo say hello", "dev", mention=True)
    await deployment.wait_for_reply("scripted model", thread, "dev")
    for number in range(ONE_BY_ONE):
        await ana.say(f"reply {number}.", "dev", thread)
        await deployment.playground.slack.delivery.idle()
    wanted = [str(number) for number in range(ONE_BY_ONE)]
    await deployment.playground.feed.until(
        lambda: re.findall(r"reply (\d+)\.", " ".join(_asked(deployment))) == wanted or None, 60
    )
    await ended(deployment, thread)


async def test_fifty_replies_at_once_are_each_taken_up_once_and_in_order(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person()
    thread = await ana.say("demo/todo say hello", "dev", mention=True)
    await deployment.wait_for_reply("scripted model", thread, "dev")
    await deployment.wait_for_reply("✓ *Task 1*", thread, "dev")
    for number in range(REPLIES):
        await ana.say(f"reply {number}.", "dev", thread)
    await deployment.playground.slack.delivery.idle()
    await deployment.playground.feed.until(
        lambda: " ".join(_asked(deployment)).count("reply ") == REPLIES or None, 60
    )
    await deployment.bot.end()
    await deployment.bot.start()
    last = await ana.say("the last one", "dev", thread)
    await deployment.wait_for_reply("the last one", thread, "dev")
    taken = [
        event["message_id"]
        for event in ledger(deployment, thread, "dev").events
        if event["type"] in {"task_started", "message_taken_up"} and "." in str(event["message_id"])
    ]
    # Slack promises no order of events that it sends at once; ours is the order of storing them.
    assert taken == [*sorted(_stored(deployment, thread), key=float), last]
    seen = re.findall(r"reply (\d+)\.", " ".join(_asked(deployment)))
    assert sorted(seen, key=int) == [str(number) for number in range(REPLIES)]
    await ended(deployment, thread)


def _stored(deployment: Deployment, thread: str) -> list[str]:
    """The replies of a thread in the order in which the bot took them."""
    agent_id = ledger(deployment, thread, "dev").agent_id
    with closing(sqlite3.connect(database(deployment.bot.data_dir))) as connection:
        query = 'SELECT id FROM message WHERE agent_id = ? AND id LIKE ? ORDER BY "order"'
        found = connection.execute(query, (agent_id, "%.%")).fetchall()
    return [str(row[0]) for row in found][:REPLIES]


def _asked(deployment: Deployment) -> list[str]:
    """What people said in the newest conversation that the model was shown."""
    messages = deployment.playground.model.requests[-1].messages
    return [str(message.get("content")) for message in messages if message["role"] == "user"]
