"""What a stop could not read in time: it is told, its files are kept, and it is read later."""

import asyncio
from pathlib import Path

import pytest

from bot.agents.lifecycle.background_loops import LoopSupervisor
from bot.agents.lifecycle.late_reading import FIRST_PAUSE_SECONDS, MOST_ATTEMPTS, LateReading
from bot.agents.reconcile import DAY_SECONDS, Leftovers, Reconciler
from bot.cli.agents import _agents
from bot.domain.agent import Agent, AgentStatus, Leftover
from bot.domain.saved_state import SavedState
from bot.errors import AnswerTooLarge
from bridge.protocol import INTERRUPT_SECONDS, ErrorCode, FileChange, FilesChanged, WireError
from tests.harness.app import AppHarness
from tests.scripted_bridge import CHANGED, PATCH, ScriptedBridge

REFUSED = WireError(code=ErrorCode.INTERNAL, message="no")
UNREAD = "could not be read in time"
LATE = "Read after the stop"


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("DIFF", "PATCH", "EXPORT"):
        monkeypatch.setattr(f"bot.agents.deadlines.STOP_{part}_SECONDS", 0.2)


async def stopped_unread(harness: AppHarness, *slow: str) -> Agent:
    """An agent that was stopped while these routes did not answer in time; they do afterwards."""
    agent = await harness.working()
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    for route in slow:
        harness.bridge.gates[route] = asyncio.Event()
    await harness.service.stop(agent.id, "UBEN")
    for route in slow:
        del harness.bridge.gates[route]
    return await harness.reaches(agent.id, AgentStatus.STOPPED)


async def thread_of(harness: AppHarness, agent: Agent) -> str:
    """All texts of the thread."""
    return "\n".join(post.text for post in (await harness.shown(agent.id)).values())


async def test_an_interruption_that_takes_the_bridge_its_whole_deadline_is_waited_for(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    interrupt = harness.bridge.interrupt

    async def slow(address: object, timeout_seconds: float) -> None:
        waited.append(timeout_seconds)
        await interrupt(address, timeout_seconds)  # type: ignore[arg-type]

    monkeypatch.setattr(harness.bridge, "interrupt", slow)
    agent = await harness.working()
    await harness.service.stop(agent.id, "UBEN")
    assert waited[0] > INTERRUPT_SECONDS


async def test_a_bridge_without_a_sign_of_life_is_not_waited_for(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.agents.deadlines.PULSE_SECONDS", 0.01)
    agent = await harness.working()
    harness.bridge.gates |= {"interrupt": asyncio.Event(), "health": asyncio.Event()}
    async with asyncio.timeout(5):
        await harness.service.stop(agent.id, "UBEN")
    assert agent.id not in harness.runtime.containers
    assert UNREAD in await thread_of(harness, agent)
    assert agent.id in harness.runtime.kept


async def test_a_patch_that_comes_late_is_told_of_and_its_files_are_kept(
    harness: AppHarness,
) -> None:
    agent = await stopped_unread(harness, "patch")
    text = await thread_of(harness, agent)
    assert "1 file, +14 \u22126 (`a.py`)" in text
    assert UNREAD in text
    assert agent.leftover is Leftover.PATCH
    assert agent.id not in harness.runtime.containers
    await harness.restart()
    await harness.fleet.reconcile()
    await Leftovers(harness.dependencies, harness.fleet).remove_files()
    assert agent.id in harness.runtime.kept
    harness.clock.now += harness.dependencies.settings.retention_days * DAY_SECONDS + 1
    await Leftovers(harness.dependencies, harness.fleet).remove_files()
    assert not harness.runtime.kept


async def test_a_prune_leaves_what_is_still_to_be_read(harness: AppHarness, tmp_path: Path) -> None:
    agent = await stopped_unread(harness, "patch")
    address = f"sqlite+aiosqlite:///{tmp_path / 'bot.db'}"
    settings = harness.dependencies.settings.model_copy(update={"database_url": address})
    assert [kept.id for kept in await _agents(settings, kept=True)] == [agent.id]
    await LateReading(harness.dependencies, harness.fleet).read()
    assert not await _agents(settings, kept=True)


async def test_it_is_read_afterwards_from_a_container_that_begins_nothing(
    harness: AppHarness,
) -> None:
    agent = await stopped_unread(harness, "diff", "patch", "export")
    await harness.restart()
    await LateReading(harness.dependencies, harness.fleet).read()
    assert harness.runtime.specs[-1].environment["HOLD_TASKS"] == "true"
    assert not harness.runtime.containers
    assert not harness.runtime.kept
    assert agent.id not in harness.gateway.opened
    shown = await harness.shown(agent.id)
    assert f"{LATE}.* Changed: 1 file" in (await thread_of(harness, agent))
    assert [key for key in shown if key.startswith("patch:salvaged:")]
    saved = await harness.store.saved_state(agent.id)
    assert saved
    assert saved.patch == PATCH
    assert not await harness.store.unread()


async def test_it_is_read_soon_after_the_stop(harness: AppHarness) -> None:
    recovery = Reconciler(harness.dependencies, harness.service, harness.fleet)
    loops = LoopSupervisor()
    for name, loop in recovery.loops().items():
        loops.start(name, loop)
    agent = await stopped_unread(harness, "patch")

    async def is_read() -> bool | None:
        return None if await harness.store.unread() else True

    await harness.changes.found(is_read)
    await loops.cancel()
    assert LATE in await thread_of(harness, agent)


async def test_a_patch_is_filed_though_the_conversation_comes_late(harness: AppHarness) -> None:
    agent = await stopped_unread(harness, "export")
    assert agent.leftover is Leftover.CONVERSATION
    await LateReading(harness.dependencies, harness.fleet).read()
    shown = await harness.shown(agent.id)
    assert len([key for key in shown if key.startswith("patch:")]) == 1
    assert LATE not in await thread_of(harness, agent)
    assert await harness.store.saved_state(agent.id)
    assert not harness.runtime.kept


async def test_a_conversation_and_a_patch_are_kept_though_the_diff_comes_late(
    harness: AppHarness,
) -> None:
    agent = await stopped_unread(harness, "diff")
    assert agent.leftover is Leftover.NOTHING
    assert "could not be listed. The patch follows" in await thread_of(harness, agent)
    assert [key for key in await harness.shown(agent.id) if key.startswith("patch:")]
    assert not harness.runtime.kept


async def test_a_restart_goes_on_with_the_kept_files(harness: AppHarness) -> None:
    agent = await stopped_unread(harness, "patch")
    await harness.reply(agent, "6.1", "restart")
    again = await harness.reaches(agent.id, AgentStatus.IDLE)
    assert again.leftover is Leftover.NOTHING
    assert "restore" not in harness.bridge.routes(agent.id)
    await LateReading(harness.dependencies, harness.fleet).read()
    assert agent.id in harness.runtime.containers
    assert "HOLD_TASKS" not in harness.runtime.specs[-1].environment


async def test_a_restart_while_it_is_read_keeps_the_files(harness: AppHarness) -> None:
    agent = await stopped_unread(harness, "patch")
    gate = harness.bridge.gates["patch"] = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        asked = len(harness.bridge.bodies("patch"))
        group.create_task(LateReading(harness.dependencies, harness.fleet).read())
        await harness.asked("patch", asked + 1)
        await harness.reply(agent, "6.1", "restart")
        gate.set()
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert agent.id in harness.runtime.kept
    assert "restore" not in harness.bridge.routes(agent.id)
    assert "HOLD_TASKS" not in harness.runtime.specs[-1].environment
    assert LATE not in await thread_of(harness, agent)


async def test_what_fails_is_read_again_less_and_less_often_and_then_told(
    harness: AppHarness,
) -> None:
    agent = await stopped_unread(harness, "patch")
    harness.bridge.refusals["patch"] = REFUSED
    asked = len(harness.bridge.bodies("patch"))
    late = LateReading(harness.dependencies, harness.fleet)
    await late.read()
    await late.read()
    assert len(harness.bridge.bodies("patch")) == asked + 1
    for number in range(1, MOST_ATTEMPTS):
        assert "take too long" not in await thread_of(harness, agent)
        harness.clock.now += FIRST_PAUSE_SECONDS * 2**number
        await late.read()
    assert len(harness.bridge.bodies("patch")) == asked + MOST_ATTEMPTS
    assert "take too long" in await thread_of(harness, agent)
    assert not await harness.store.unread()
    assert agent.id in harness.runtime.kept


async def test_an_engine_that_is_away_costs_no_attempt(harness: AppHarness) -> None:
    agent = await stopped_unread(harness, "patch")
    late = LateReading(harness.dependencies, harness.fleet)
    harness.runtime.silent = True
    for _ in range(2 * MOST_ATTEMPTS):
        await late.read()
        harness.clock.now += 2 * FIRST_PAUSE_SECONDS
    harness.runtime.silent = False
    await late.read()
    assert LATE in await thread_of(harness, agent)


async def test_a_patch_that_the_host_cannot_take_is_told_and_its_files_are_kept(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_large(_self: ScriptedBridge, _address: object) -> bytes:
        raise AnswerTooLarge("an answer of more than 20 MiB")

    monkeypatch.setattr(ScriptedBridge, "patch", too_large)
    agent = await harness.working()
    harness.bridge.saved = CHANGED
    await harness.service.stop(agent.id, "UBEN")
    assert "a patch may have 20 MB" in await thread_of(harness, agent)
    assert agent.id in harness.runtime.kept
    assert not await harness.store.unread()
    await harness.reply(agent, "6.1", "restart")
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert "restore" not in harness.bridge.routes(agent.id)


async def test_one_asleep_whose_state_was_not_kept_is_read_from_its_files(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    changed = FileChange(path="a.py", status="modified", added=1, removed=0)
    harness.bridge.push(agent.id, FilesChanged(at=1.0, files=(changed,)))
    newest = (await harness.store.events(agent.id))[-1].seq

    async def is_stored() -> bool | None:
        return (await harness.store.events(agent.id))[-1].seq > newest or None

    await harness.changes.found(is_stored)
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    await harness.fleet.cancel(agent.id)
    await harness.runtime.stop(agent.id)
    await harness.service.stop(agent.id, "UBEN")
    assert agent.id in harness.runtime.kept
    await LateReading(harness.dependencies, harness.fleet).read()
    assert LATE in await thread_of(harness, agent)
    assert not harness.runtime.kept


async def test_files_that_are_gone_meanwhile_are_looked_for_once(harness: AppHarness) -> None:
    agent = await stopped_unread(harness, "patch")
    harness.runtime.kept.clear()
    await LateReading(harness.dependencies, harness.fleet).read()
    assert not await harness.store.unread()
    assert not harness.runtime.containers
    assert "Its changes could not be read." in await thread_of(harness, agent)


async def test_a_state_of_an_earlier_task_is_not_taken_for_the_files_that_are_gone(
    harness: AppHarness,
) -> None:
    agent = await stopped_unread(harness, "patch")
    harness.runtime.kept.clear()
    state = SavedState(b"{}", b"older", last_seq=1, at=5.0)
    async with harness.store.transaction() as tx:
        await tx.save_state(agent.id, state)
    await LateReading(harness.dependencies, harness.fleet).read()
    # A restart hands over what was delivered since `at`, so that stays what it was.
    assert await harness.store.saved_state(agent.id) == state
    thread = await thread_of(harness, agent)
    assert "Its changes as of its last task are kept." in thread
    assert LATE not in thread
