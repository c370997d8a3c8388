"""An edit or a deletion counts while the message waits, and not after."""

import asyncio

import pytest

from bot.domain.agent import Agent
from playground.slack.user_client import UserClient
from tests.integration.slack_events.conftest import Line


async def waiting(line: Line) -> tuple[Agent, UserClient, str, str]:
    """An agent whose bridge is busy with one message, and a second one that waits behind it."""
    agent, root = await line.in_thread()
    line.harness.bridge.gates["chat"] = asyncio.Event()
    ben = line.person("ben")
    await ben.say("first", thread_ts=root)
    await line.texts(1)
    ts = await ben.say("second", thread_ts=root)
    await line.settle()
    return agent, ben, root, ts


async def stored(line: Line, agent: Agent) -> list[str]:
    return [message.text for message in await line.harness.store.undelivered(agent.id)]


async def test_an_edited_message_that_waits_is_handed_over_as_edited(line: Line) -> None:
    agent, ben, _, ts = await waiting(line)
    await ben.edit("general", ts, "queue: third &lt;b&gt;")
    await line.settle()
    assert await stored(line, agent) == ["first", "third <b>"]
    line.harness.bridge.gates["chat"].set()
    assert await line.texts(2) == ["first", "third <b>"]


@pytest.mark.parametrize("edit", ["", "stop", None])
async def test_a_message_that_is_withdrawn_leaves_the_queue_and_loses_its_mark(
    line: Line, edit: str | None
) -> None:
    agent, ben, _, ts = await waiting(line)
    shown = await line.harness.shown(agent.id)
    assert shown[f"mark:{ts}:eyes"].payload["present"]
    if edit is None:
        await ben.delete("general", ts)
    else:
        await ben.edit("general", ts, edit)
    await line.settle()
    assert await stored(line, agent) == ["first"]
    shown = await line.harness.shown(agent.id)
    assert not shown[f"mark:{ts}:eyes"].payload["present"]
    found = await line.harness.stored(agent.id)
    assert found.alive


async def test_a_message_in_the_queue_of_the_bridge_is_revised_there(line: Line) -> None:
    agent, root = await line.in_thread()
    ben = line.person("ben")
    ts = await ben.say("queue: later", thread_ts=root)
    await line.texts(1)
    await line.settle()
    await ben.edit("general", ts, "queue: much later")
    await line.settle()
    await ben.delete("general", ts)
    await line.settle()
    assert line.harness.bridge.bodies("revise") == [(ts, "much later"), (ts, None)]
    shown = await line.harness.shown(agent.id)
    assert not shown[f"mark:{ts}:clock1"].payload["present"]


async def test_an_edit_after_the_fact_and_one_of_a_preview_change_nothing(line: Line) -> None:
    agent, root = await line.in_thread()
    ben = line.person("ben")
    ts = await ben.say("use pytest", thread_ts=root)
    await line.texts(1)
    await line.settle()
    line.harness.bridge._sessions[agent.id].waiting.clear()  # a task has it
    await ben.edit("general", ts, "use pytest")
    await line.settle()
    assert line.harness.bridge.bodies("revise") == []
    await ben.edit("general", ts, "use ruff")
    await ben.edit("general", ts, "stop")
    await line.person("ana").edit("general", root, "acme/api fix something else")
    await line.settle()
    assert await line.texts(1) == ["use pytest"]
    shown = await line.harness.shown(agent.id)
    assert shown[f"mark:{ts}:eyes"].payload["present"]
    found = await line.harness.stored(agent.id)
    assert found.alive


async def test_an_edit_that_is_too_long_is_refused_privately(line: Line) -> None:
    agent, ben, _, ts = await waiting(line)
    await ben.edit("general", ts, "x" * 40_001)
    await ben.wait_for_ephemeral("keeps the earlier text")
    await line.settle()
    assert await stored(line, agent) == ["first", "second"]


async def test_edits_by_the_bot_are_no_instructions(line: Line) -> None:
    agent, ben, _, ts = await waiting(line)
    message = ben.message("general", ts)
    message.user = "U00000BOT"
    line.slack.change(message, "U00000BOT", text="stop")
    await line.settle()
    assert agent.alive
