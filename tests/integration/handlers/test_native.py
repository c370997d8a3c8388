"""Slack's own ways to show an agent at work, and what is left where a workspace lacks them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.domain.agent import AgentStatus
from bot.slack.outbox.block_fallback import BlockFallback
from bot.slack.session_status import SessionStatusUpdater
from bridge.protocol import PlanItem, PlanStatus, PlanUpdated, ToolStarted
from playground.slack.slack_state import Json
from tests.harness.clocks import VirtualClock
from tests.integration.handlers.conftest import Office
from tests.integration.handlers.test_quietness import GENERAL, Scene, scene
from tests.integration.handlers.test_thread_words import asks

__all__ = ["scene"]

STATUS = "agents.sessions.setStatus"


@pytest.fixture
async def sessions(office: Office) -> AsyncIterator[SessionStatusUpdater]:
    """The office with its sessions on, in time that does not pass by itself."""
    told = office.handlers.sessions
    told.enabled, told._clock = True, VirtualClock()
    async with asyncio.TaskGroup() as group:
        work = group.create_task(told.serve())
        yield told
        work.cancel()


def calls(office: Office) -> list[Json]:
    made = [entry.data for entry in office.slack.feed.entries("api_call")]
    return [call for call in made if call["method"] == STATUS]


async def told(office: Office, status: str, thread: str) -> None:
    def look() -> bool | None:
        session = office.slack.state.sessions.get((GENERAL, thread), {})
        return True if session.get("status") == status else None

    await office.slack.feed.until(look)


@pytest.mark.usefixtures("sessions")
async def test_a_session_follows_its_agent_from_work_to_its_end(office: Office) -> None:
    agent, thread = await office.in_thread("acme/api fix <!channel>")
    await told(office, "processing", thread)
    office.harness.bridge.finish(agent.id, "Done.")
    await told(office, "active", thread)
    await office.person("ana").say("stop", "general", thread)
    await told(office, "closed", thread)
    states = [call["arguments"]["status"] for call in calls(office)]
    assert states == ["processing", "active", "closed"]
    title = calls(office)[0]["arguments"]["title"]
    assert "<!" not in title
    assert title.startswith("fix")


@pytest.mark.usefixtures("sessions")
async def test_a_session_of_a_task_that_waits_for_a_person_says_so(office: Office) -> None:
    agent, _ = await asks(office)
    thread = agent.thread_ts or ""
    await told(office, "suspended", thread)
    office.harness.bridge.finish(agent.id, "Done.")
    await office.person("ana").say("and now this", "general", thread)
    await told(office, "processing", thread)


@pytest.mark.usefixtures("sessions")
async def test_slacks_own_button_stops_the_agent(office: Office) -> None:
    agent, thread = await office.in_thread()
    await office.person("ben").stop_session("general", thread)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    await told(office, "closed", thread)


async def test_slacks_own_button_asks_for_the_right_as_every_other_way(office: Office) -> None:
    agent, thread = await office.in_thread()
    guest = office.person("eve")
    await guest.stop_session("general", thread)
    await guest.wait_for_ephemeral("Guests")
    stored = await office.harness.stored(agent.id)
    assert stored.status is AgentStatus.WORKING


@pytest.mark.parametrize("code", ["not_authorized", "unknown_method", "missing_scope"])
async def test_a_workspace_without_sessions_is_asked_once(
    office: Office, sessions: SessionStatusUpdater, code: str
) -> None:
    office.slack.settings = replace(office.slack.settings, sessions_error=code)
    agent, _ = await office.in_thread()
    await office.slack.feed.until(lambda: True if calls(office) else None)
    office.harness.bridge.finish(agent.id, "Done.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await office.settle()
    assert len(calls(office)) == 1
    assert not sessions.enabled


async def test_a_failure_that_may_pass_is_not_remembered(
    office: Office, sessions: SessionStatusUpdater
) -> None:
    office.slack.faults.fail(STATUS, "server_error")
    agent, thread = await office.in_thread()
    await office.slack.feed.until(lambda: True if calls(office) else None)
    office.harness.bridge.finish(agent.id, "Done.")
    await told(office, "active", thread)
    assert sessions.enabled


async def test_without_the_setting_nothing_is_asked(office: Office) -> None:
    await office.in_thread()
    await office.settle()
    assert not calls(office)


PLAN = PlanUpdated(
    at=2.0,
    items=(
        PlanItem(text="find the <!channel> race", status=PlanStatus.DOING),
        PlanItem(text="fix it", status=PlanStatus.TODO),
    ),
)
TOOL = ToolStarted(at=2.0, call_id="c1", tool="read_file", target="a.py", arguments="{}")


async def test_plan_and_steps_are_slacks_own_blocks_where_it_takes_them(scene: Scene) -> None:
    agent = await scene.working(PLAN, TOOL)
    [card] = scene.texts(agent)
    assert "Plan: 0 of 2 done" in card
    assert "'type': 'plan'" in card
    assert "read_file a.py" in card
    assert "'status': 'in_progress'" in card
    assert "<!channel>" not in card


async def test_a_workspace_that_takes_no_plan_gets_plain_blocks_and_is_not_tried_again(
    scene: Scene,
) -> None:
    refused = frozenset({"plan", "task_card"})
    scene.slack.settings = replace(scene.slack.settings, refused_blocks=refused)
    agent = await scene.working(PLAN, TOOL)
    [card] = scene.texts(agent)
    assert "▸ find the" in card
    assert "read_file `a.py`" in card
    looks: BlockFallback = scene.outbox._delivery._fallback
    assert looks.plain
    failed = [
        entry.data["answer"]["error"]
        for entry in scene.slack.feed.entries("api_call")
        if not entry.data["answer"]["ok"]
    ]
    assert failed == ["invalid_blocks"]
    more = TOOL.model_copy(update={"call_id": "c2", "target": "b.py"})
    await scene.push(agent, more)
    assert "read_file `b.py`" in scene.texts(agent)[0]
    entries = scene.slack.feed.entries("api_call")
    assert sum(not entry.data["answer"]["ok"] for entry in entries) == 1


async def test_blocks_that_are_too_long_say_nothing_about_what_a_workspace_takes(
    scene: Scene,
) -> None:
    agent = await scene.working()
    scene.slack.faults.fail("chat.update", "error", code="msg_blocks_too_long")
    await scene.push(agent, PLAN)
    assert "▸ find the" in scene.texts(agent)[0]
    await scene.push(agent, TOOL)
    assert "'type': 'plan'" in scene.texts(agent)[0]
