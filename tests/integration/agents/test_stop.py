import asyncio
from collections.abc import Mapping

import pytest

from bot.domain.agent import Agent, AgentStatus
from bot.errors import UserError
from bot.store.agents import SqlStore
from bridge.protocol import ErrorCode, Outcome, StepStarted, WireError
from tests.fakes import FakeOutbox, Shown
from tests.harness.app import COMMAND, ORIGIN, AppHarness
from tests.scripted_bridge import CHANGED, PATCH

UNREAD = (
    "⏹ *Stopped by <@UBEN>* after 0.0 s. Its newest changes could not be read in time: its files "
    'are kept, and the patch follows once it is read; "restart" goes on with them.'
)
UNCHANGED = "⏹ *Stopped by <@UBEN>* after 0.0 s. No file was changed."
NOT_BEGUN = "⏹ *Stopped by <@UBEN>* after 0.0 s. It had not begun."


def _stopped(shown: Mapping[str, Shown]) -> Shown:
    (post,) = (post for key, post in shown.items() if key.startswith("stopped:"))
    return post


async def is_over(harness: AppHarness, agent_id: str) -> str:
    """Everything of the agent is gone; what its thread says about the stop."""
    agent = await harness.stored(agent_id)
    assert agent.status is AgentStatus.STOPPED
    assert agent_id not in harness.runtime.containers
    assert agent_id not in harness.gateway.opened
    assert harness.fleet.run_of(agent_id) is None
    shown = await harness.shown(agent_id)
    cards = [post for key, post in shown.items() if key.startswith("card:")]
    assert not [post for post in cards if "Working" in post.text or "Starting" in post.text]
    assert not [key for key in shown if key.startswith("answer:")]
    return _stopped(shown).text


async def test_stopping_a_working_agent_kills_its_tool_first_and_removes_everything(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.clock.now += 41
    await harness.service.stop(agent.id, "UBEN")
    text = await is_over(harness, agent.id)
    assert text == "⏹ *Stopped by <@UBEN>* after 41 s. No file was changed."
    asked = harness.bridge.routes(agent.id)
    assert asked.index("interrupt") < asked.index("diff")


async def test_what_changed_is_named_and_filed_as_a_patch(harness: AppHarness) -> None:
    agent = await harness.working()
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    await harness.service.stop(agent.id, "UBEN")
    assert "1 file, +14 \u22126 (`a.py`)" in await is_over(harness, agent.id)
    shown = await harness.shown(agent.id)
    patch = shown[f"patch:{_stopped(shown).key}"]
    assert patch.payload["name"] == f"{agent.id}.patch"
    assert patch.ts > _stopped(shown).ts


async def test_a_patch_that_is_asked_for_is_filed_while_the_agent_works(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.bridge.patch_bytes = PATCH
    await harness.service.results.file_patch(agent, "click-1")
    await harness.service.results.file_patch(agent, "click-1")
    assert "patch:click-1" in await harness.shown(agent.id)
    assert agent.id in harness.runtime.containers


async def test_where_nothing_changed_there_is_no_patch(harness: AppHarness) -> None:
    agent = await harness.working()
    with pytest.raises(UserError):
        await harness.service.results.file_patch(agent, "click-1")
    harness.bridge.unreachable.add(agent.id)
    with pytest.raises(UserError):
        await harness.service.results.file_patch(agent, "click-2")


async def test_a_patch_too_large_to_file_is_kept_and_told_of(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.domain.saved_state.MAX_FILED_PATCH_BYTES", len(PATCH) - 1)
    agent = await harness.working()
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    await harness.service.stop(agent.id, "UBEN")
    text = await is_over(harness, agent.id)
    assert "1 file, +14 \u22126" in text
    assert "larger than 20 MB" in text
    assert "follows as a file" not in text
    assert not [key for key in await harness.shown(agent.id) if key.startswith("patch:")]
    saved = await harness.store.saved_state(agent.id)
    assert saved
    assert saved.patch == PATCH
    assert not harness.runtime.kept


async def test_stopping_an_idle_agent(harness: AppHarness) -> None:
    agent = await harness.working()
    harness.bridge.finish(agent.id)
    await harness.reaches(agent.id, AgentStatus.IDLE)
    await harness.service.stop(agent.id, "UBEN")
    shown = await harness.shown(agent.id)
    assert f"answer:{agent.id}-1:0" in shown
    assert "<@UBEN>" in _stopped(shown).text
    assert agent.id not in harness.runtime.containers


@pytest.mark.parametrize("route", ["health", "workspace", "execute"])
async def test_stopping_in_each_phase_of_the_boot(harness: AppHarness, route: str) -> None:
    harness.bridge.gates[route] = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.asked(route)
    await harness.service.stop(agent.id, "UBEN")
    await is_over(harness, agent.id)


async def test_stopping_while_the_container_is_being_made(harness: AppHarness) -> None:
    harness.runtime.gate = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.changes.until(lambda: harness.runtime.specs)
    await harness.service.stop(agent.id, "UBEN")
    assert (await is_over(harness, agent.id)).rstrip() == NOT_BEGUN


async def test_stopping_before_the_root_message_is_there_starts_nothing(
    harness: AppHarness,
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    class Slow(FakeOutbox):
        async def sent(self, agent_id: str, key: str, timeout_seconds: float) -> str:
            asked.set()
            await go_on.wait()
            return await super().sent(agent_id, key, timeout_seconds)

    _use(harness, Slow(harness.store))
    starting = asyncio.create_task(harness.service.start(COMMAND, ORIGIN))
    await asked.wait()
    (agent,) = await harness.service.store.agents(alive=True)
    await harness.service.stop(agent.id, "UBEN")
    go_on.set()
    assert await starting
    await is_over(harness, agent.id)
    assert not harness.runtime.specs


def _use(harness: AppHarness, outbox: FakeOutbox) -> None:
    harness.outbox = outbox
    object.__setattr__(harness.dependencies, "outbox", outbox)


async def test_two_stops_at_once_are_one(harness: AppHarness) -> None:
    agent = await harness.working()
    gate = harness.bridge.gates["interrupt"] = asyncio.Event()
    first = asyncio.create_task(harness.service.stop(agent.id, "UBEN"))
    await harness.asked("interrupt")
    second = asyncio.create_task(harness.service.stop(agent.id, "UEVE"))
    gate.set()
    await asyncio.gather(first, second)
    assert "<@UBEN>" in await is_over(harness, agent.id)
    assert harness.bridge.routes(agent.id).count("interrupt") == 1


async def test_a_stop_after_the_stop_says_that_it_is_over(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.service.stop(agent.id, "UBEN")
    with pytest.raises(UserError, match="was stopped"):
        await harness.service.stop(agent.id, "UBEN")


async def test_an_unknown_agent_cannot_be_stopped(harness: AppHarness) -> None:
    with pytest.raises(UserError, match="no agent `zzz`"):
        await harness.service.stop("zzz", "UBEN")


async def test_a_bridge_that_is_away_does_not_hold_the_stop_up(harness: AppHarness) -> None:
    agent = await harness.working()
    harness.bridge.unreachable.add(agent.id)
    await harness.service.stop(agent.id, "UBEN")
    assert (await is_over(harness, agent.id)).rstrip() == UNREAD


async def test_a_diff_that_hangs_does_not_hold_the_stop_up(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.agents.deadlines.STOP_DIFF_SECONDS", 0.01)
    agent = await harness.working()
    harness.bridge.gates["diff"] = asyncio.Event()
    await harness.service.stop(agent.id, "UBEN")
    assert (await is_over(harness, agent.id)).rstrip() == UNCHANGED
    assert not harness.runtime.kept


async def test_with_a_silent_engine_the_agent_is_stopped_and_its_container_goes_later(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.runtime.silent = True
    await harness.service.stop(agent.id, "UBEN")
    stored = await harness.stored(agent.id)
    assert stored.status is AgentStatus.STOPPED
    assert agent.id not in harness.gateway.opened
    harness.runtime.silent = False
    await harness.fleet.reconcile()
    assert not harness.runtime.containers


async def test_events_after_the_stop_change_nothing(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.service.stop(agent.id, "UBEN")
    before = await harness.shown(agent.id)
    harness.bridge.push(agent.id, StepStarted(at=1.0, step=9, max_steps=15))
    harness.bridge.finish(agent.id, "too late")
    assert await harness.shown(agent.id) == before


async def test_an_interrupt_ends_the_task_and_keeps_the_agent(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.service.interrupt(agent.id)
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert agent.id in harness.runtime.containers
    answer = (await harness.shown(agent.id))[f"answer:{agent.id}-1:0"]
    assert "Interrupted" in answer.text
    await harness.reply(agent, "5.1")
    await harness.reaches(agent.id, AgentStatus.WORKING)


async def test_an_interrupt_without_a_container_says_what_to_do(harness: AppHarness) -> None:
    harness.runtime.gate = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.changes.until(lambda: harness.runtime.specs)
    with pytest.raises(UserError, match="still starting"):
        await harness.service.interrupt(agent.id)


async def test_a_refusal_on_the_way_out_changes_nothing(harness: AppHarness) -> None:
    agent = await harness.working()
    for route in ("diff", "patch", "export"):
        harness.bridge.refusals[route] = WireError(code=ErrorCode.INTERNAL, message="no")
    await harness.service.stop(agent.id, "UBEN")
    assert (await is_over(harness, agent.id)).rstrip() == UNREAD
    assert agent.id in harness.runtime.kept


async def test_stopping_one_leaves_the_other_at_work(harness: AppHarness) -> None:
    one, two = await harness.working("trigger-1"), await harness.working("trigger-2")
    await harness.service.stop(one.id, "UBEN")
    harness.bridge.finish(two.id, "Done.", Outcome.COMPLETED)
    await harness.reaches(two.id, AgentStatus.IDLE)
    assert list(harness.runtime.containers) == [two.id]


async def test_a_store_keeps_the_stop_over_a_restart(harness: AppHarness) -> None:
    agent: Agent = await harness.working()
    await harness.service.stop(agent.id, "UBEN")
    await harness.restart()
    await harness.fleet.reconcile()
    assert isinstance(harness.store, SqlStore)
    assert harness.fleet.run_of(agent.id) is None
    assert len(harness.runtime.specs) == 1
