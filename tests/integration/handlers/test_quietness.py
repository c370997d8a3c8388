"""What one turn costs in calls to Slack and in notifications, counted, in each verbosity."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bot.agents.service import Origin, ThreadMessage
from bot.domain.agent import Agent, AgentStatus, ThreadRef
from bot.domain.settings_command import SetRule
from bot.slack.outbox.sender import OutboxSender
from bridge.protocol import AgentEvent, StepStarted, ToolFinished, ToolStarted
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import TEAM_ID
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.user_client import UserClient
from tests.harness.app import COMMAND, AppHarness
from tests.harness.clocks import VirtualClock
from tests.harness.slack import app_and_slack

GENERAL = "C0GENERAL0"
STEPS = 3


@dataclass
class Scene:
    """An app harness whose posts a real sender brings to a playground."""

    harness: AppHarness
    slack: SlackWorkspace
    outbox: OutboxSender

    async def sent(self) -> None:
        """Everything that is stored is shown."""
        assert await self.outbox.drain(20)

    async def agent(self, verbosity: str, thread_ts: str | None = None) -> Agent:
        """An agent of @ana in #general that rests after its first task."""
        if verbosity != "normal":
            rule = SetRule("verbosity", verbosity)
            await self.harness.service.channel_settings.set(rule, "U00000ANA", TEAM_ID, GENERAL)
        origin = Origin(TEAM_ID, GENERAL, "U00000ANA", "trigger-1", thread_ts, name="Ana")
        agent = await self.harness.service.start(COMMAND, origin)
        assert agent
        await self.harness.reaches(agent.id, AgentStatus.WORKING)
        self.harness.bridge.finish(agent.id, "Done.")
        found = await self.harness.reaches(agent.id, AgentStatus.IDLE)
        await self.sent()
        return found

    async def working(self, *events: AgentEvent) -> Agent:
        """An agent of @ana in #general at its first task, in which this has happened."""
        origin = Origin(TEAM_ID, GENERAL, "U00000ANA", "trigger-1", name="Ana")
        agent = await self.harness.service.start(COMMAND, origin)
        assert agent
        agent = await self.harness.reaches(agent.id, AgentStatus.WORKING)
        await self.push(agent, *events)
        return agent

    async def push(self, agent: Agent, *events: AgentEvent) -> None:
        """The bridge tells of this, and it is shown."""
        made = [event.model_copy(update={"task_id": agent.task_id}) for event in events]
        self.harness.bridge.push(agent.id, *made)
        await self._stored(agent.id)
        await self.sent()

    async def turn(self, agent: Agent, answer: str = "All of it is done.") -> None:
        """@ana replies; the agent takes three steps with a tool each, and answers."""
        ana = UserClient(self.slack, self.slack.state.user("ana"))
        ts = await ana.say("and now this", thread_ts=agent.thread_ts)
        assert agent.thread_ts
        thread = ThreadRef(TEAM_ID, GENERAL, agent.thread_ts)
        await self.harness.service.reply(ThreadMessage(thread, "U00000ANA", ts, "and now this"))
        working = await self.harness.reaches(agent.id, AgentStatus.WORKING)
        await self.sent()
        for step in range(1, STEPS + 1):
            for event in (
                StepStarted(at=2.0, task_id=working.task_id, step=step, max_steps=15),
                ToolStarted(
                    at=2.0,
                    task_id=working.task_id,
                    call_id=f"c{step}",
                    tool="read_file",
                    target="<!channel>",
                    arguments="{}",
                ),
                ToolFinished(
                    at=3.0,
                    task_id=working.task_id,
                    call_id=f"c{step}",
                    tool="read_file",
                    target="<!channel>",
                    ok=True,
                    result="12 lines",
                    summary="12 lines",
                    duration_seconds=1.0,
                ),
            ):
                self.harness.bridge.push(agent.id, event)
                await self._stored(agent.id)
                await self.sent()
        self.harness.bridge.finish(agent.id, answer)
        await self.harness.reaches(agent.id, AgentStatus.IDLE)
        await self.sent()

    async def _stored(self, agent_id: str) -> None:
        newest = len(self.harness.bridge._sessions[agent_id].log)

        async def look() -> bool | None:
            found = await self.harness.store.agent(agent_id)
            return True if found and found.last_seq >= newest else None

        await self.harness.changes.found(look)

    def calls(self) -> Counter[str]:
        return Counter(str(entry.data["method"]) for entry in self.slack.feed.entries("api_call"))

    def notified(self, agent: Agent, user: str = "U00000ANA") -> int:
        counts = self.slack.notifications.of(user)["threads"]
        return int(counts[f"{GENERAL}:{agent.thread_ts}"]["notified"])

    def texts(self, agent: Agent) -> list[str]:
        replies = self.slack.state.channels[GENERAL].replies(agent.thread_ts or "")
        return [str([*(b | {"block_id": ""} for b in m.blocks), m.text]) for m in replies]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    settings = SlackSettings(limits_enabled=False, retry_delays_seconds=())
    async with app_and_slack(tmp_path, settings) as (harness, slack, client):
        harness.clock.now = time.time()

        async def dead(agent_id: str, key: str, code: str) -> None:
            raise AssertionError((agent_id, key, code))

        rows = harness.store.outbox_rows
        outbox = OutboxSender(rows, client, bot_name="bot", on_dead=dead, clock=VirtualClock())
        harness.store.on_enqueued = outbox.wake
        harness.dependencies = replace(harness.dependencies, outbox=outbox)
        await harness.restart()
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(outbox.run())
            yield Scene(harness, slack, outbox)
            await harness.fleet.close()
            sending.cancel()


@pytest.mark.parametrize(
    ("verbosity", "posts", "edits"),
    [("quiet", 1, 0), ("normal", 1, 3 * STEPS + 2), ("verbose", 1 + STEPS, 3 * STEPS + 2)],
)
async def test_a_turn_makes_so_many_calls_and_notifies_so_often(
    scene: Scene, verbosity: str, posts: int, edits: int
) -> None:
    agent = await scene.agent(verbosity)
    calls, notified = scene.calls(), scene.notified(agent)
    await scene.turn(agent)
    made = scene.calls() - calls
    # 👀 and ✅ on the person's message; each post in a thread notifies those who follow it.
    expected = {"chat.postMessage": posts, "chat.update": edits, "reactions.add": 2}
    assert made == Counter({name: count for name, count in expected.items() if count})
    assert scene.notified(agent) - notified == posts
    shown = str(scene.texts(agent))
    assert "<!channel>" not in shown
    assert ("Step 3" in shown) is (verbosity == "verbose")
    assert ("*Task 2*" in shown) is (verbosity != "quiet")


@pytest.mark.parametrize(("verbosity", "posts"), [("quiet", 2), ("normal", 3)])
async def test_the_first_turn_of_a_command_notifies_once_by_the_answer(
    scene: Scene, verbosity: str, posts: int
) -> None:
    agent = await scene.agent(verbosity)
    assert scene.calls()["chat.postMessage"] == posts
    assert scene.notified(agent) == 1
    *before, answer = scene.texts(agent)
    assert "<@" not in str(before)
    assert "for <@U00000ANA>" in answer
    assert scene.notified(agent, "U00000BEN") == 0


@pytest.mark.parametrize("verbosity", ["quiet", "normal"])
async def test_the_first_turn_in_a_thread_of_people_notifies_by_its_start_and_its_answer(
    scene: Scene, verbosity: str
) -> None:
    ana = UserClient(scene.slack, scene.slack.state.user("ana"))
    ts = await ana.say("acme/api fix the flaky test", mention=True)
    agent = await scene.agent(verbosity, ts)
    assert scene.calls()["chat.postMessage"] == 2
    assert scene.notified(agent) == 2
    start, answer = scene.texts(agent)
    assert ("*Task 1*" in start) is (verbosity == "normal")
    assert "Done." in answer


async def test_a_card_is_below_the_newest_answer_and_leaves_it_whole(scene: Scene) -> None:
    agent = await scene.agent("normal")
    before = scene.texts(agent)
    await scene.turn(agent)
    await scene.turn(agent)
    card, first, _, second, _, third = scene.texts(agent)
    assert card == before[0]
    assert before[1].removesuffix(", 'Done.']") in first
    assert ("Task 2" in first, "Task 3" in second) == (True, True)
    assert "All of it is done." in second
    assert "Task" not in third
    assert first.index("Done.") < first.index("Task 2")


async def test_a_long_answer_is_left_alone_and_the_card_has_a_message_of_its_own(
    scene: Scene,
) -> None:
    agent = await scene.agent("normal")
    await scene.turn(agent, "word " * 2_000)
    notified = scene.notified(agent)
    await scene.turn(agent)
    assert scene.notified(agent) - notified == 2
    assert "Task 3" in scene.texts(agent)[-2]
    assert "Task 3" not in scene.texts(agent)[-4]


async def test_blocks_that_slack_refuses_cost_the_card_and_not_the_answer_above_it(
    scene: Scene,
) -> None:
    agent = await scene.agent("normal")
    whole = scene.texts(agent)[1]
    scene.slack.faults.fail("chat.update", "error", 1, code="msg_blocks_too_long")
    ana = UserClient(scene.slack, scene.slack.state.user("ana"))
    ts = await ana.say("and now this", thread_ts=agent.thread_ts)
    assert agent.thread_ts
    thread = ThreadRef(TEAM_ID, GENERAL, agent.thread_ts)
    await scene.harness.service.reply(ThreadMessage(thread, "U00000ANA", ts, "and now this"))
    await scene.harness.reaches(agent.id, AgentStatus.WORKING)
    await scene.sent()
    assert scene.texts(agent)[1].startswith(whole.removesuffix(" 'Done.']"))


@pytest.mark.parametrize("code", ["edit_window_closed", "message_not_found"])
async def test_where_an_answer_cannot_be_edited_the_card_has_a_message_of_its_own(
    scene: Scene, code: str
) -> None:
    agent = await scene.agent("normal")
    before = scene.texts(agent)
    scene.slack.faults.fail("chat.update", "error", 1, code=code)
    await scene.turn(agent)
    texts = scene.texts(agent)
    assert texts[:2] == before
    [card] = [text for text in texts if "Task 2" in text]
    assert texts.index(card) == 3
    assert "All of it is done." in texts[-1]


async def test_a_reply_changes_it_for_its_thread(scene: Scene) -> None:
    agent = await scene.agent("normal")
    assert agent.thread_ts
    ana = UserClient(scene.slack, scene.slack.state.user("ana"))
    ts = await ana.say("Verbosity: quiet", thread_ts=agent.thread_ts)
    reply = ThreadMessage(
        ThreadRef(TEAM_ID, GENERAL, agent.thread_ts), "U00000ANA", ts, "Verbosity: quiet"
    )
    for _ in range(2):
        assert await scene.harness.service.reply(reply)
    await scene.sent()
    assert not scene.harness.bridge.bodies("chat")
    calls = scene.calls()
    await scene.turn(agent)
    made = scene.calls() - calls
    assert made == Counter({"chat.postMessage": 1, "reactions.add": 2})


async def test_a_card_that_is_shown_is_not_left_at_work_by_a_thread_that_turns_quiet(
    scene: Scene,
) -> None:
    agent = await scene.agent("normal")
    assert agent.thread_ts
    thread = ThreadRef(TEAM_ID, GENERAL, agent.thread_ts)
    ana = UserClient(scene.slack, scene.slack.state.user("ana"))
    for text in ("and now this", "verbosity: quiet"):
        ts = await ana.say(text, thread_ts=agent.thread_ts)
        await scene.harness.service.reply(ThreadMessage(thread, "U00000ANA", ts, text))
        await scene.harness.reaches(agent.id, AgentStatus.WORKING)
        await scene.sent()
    scene.harness.bridge.finish(agent.id, "Done.")
    await scene.harness.reaches(agent.id, AgentStatus.IDLE)
    await scene.sent()
    shown = str(scene.texts(agent))
    assert "Working" not in shown
    assert "✓ *Task 2*" in shown
