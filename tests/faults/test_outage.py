"""Slack is away while agents work: they work on, and the thread catches up when it is back."""

import pytest

from tests.e2e.conftest import Deployment
from tests.faults.ledger import ledger

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]

ALL_CALLS = 10_000
METHODS = ("chat.postMessage", "chat.update", "reactions.add", "conversations.replies")


async def test_an_agent_works_on_while_slack_is_away_and_what_was_typed_meanwhile_is_found(
    deployment: Deployment, leftovers: None
) -> None:
    ana, slack = deployment.person(), deployment.playground.slack
    thread = await ana.say("demo/todo fix the failing test", "dev", mention=True)
    await deployment.wait_for_reply("✓ list", thread, "dev")
    for method in METHODS:
        slack.faults.fail(method, "server_error", ALL_CALLS)
    away = deployment.playground.feed.record("slack_away")
    before = len(ana.thread("dev", thread))
    # The whole task is over and stored before Slack is back.
    await deployment.bot.says("state kept", 60)
    slack.faults.event("message", "lost")
    reply = await ana.say("what did you change?", "dev", thread)
    assert len(ana.thread("dev", thread)) == before + 1
    slack.socket_mode.drop()
    slack.faults.clear()
    first = await deployment.wait_for_reply("all pass", thread, "dev", seconds=60)
    second = await deployment.wait_for_reply("The checkout now", thread, "dev", seconds=60)
    assert reply < first["ts"] < second["ts"]
    # What happened meanwhile is one edit of the card, not one for each step.
    [card] = [m for m in ana.thread("dev", thread) if "✓ *Task 1*" in m["text"]]
    edits = [
        entry
        for entry in deployment.playground.feed.entries("api_call", away.seq)
        if entry.data["method"] == "chat.update" and entry.data["arguments"].get("ts") == card["ts"]
    ]
    assert len(edits) == 1
    await ana.say("stop", "dev", thread)
    await deployment.wait_for_reply("Stopped by", thread, "dev", seconds=60)
    await deployment.no_containers()
    await deployment.bot.end()
    ledger(deployment, thread, "dev").check()
    await deployment.bot.start()
