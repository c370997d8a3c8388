"""An agent that has ended goes on from what the host has kept, in a container of its own."""

import asyncio
import time

import pytest

from bot.domain.agent import Agent, AgentStatus
from bot.errors import EngineError
from bridge.protocol import SavedConversation
from tests.harness.app import COMMAND, ORIGIN, AppHarness
from tests.scripted_bridge import CHANGED, PATCH


async def stopped(harness: AppHarness, agent: Agent) -> Agent:
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    harness.bridge.conversation = (
        SavedConversation(protocol=1, last_seq=3).model_dump_json().encode()
    )
    await harness.service.stop(agent.id, "UBEN")
    return await over(harness, agent, AgentStatus.STOPPED)


async def lost(harness: AppHarness, agent: Agent) -> Agent:
    del harness.runtime.containers[agent.id]
    harness.bridge.cut(agent.id)
    return await over(harness, agent, AgentStatus.LOST)


async def failed(harness: AppHarness, agent: Agent) -> Agent:
    await harness.reply(agent, "5.0", "and this")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    followed = len(harness.bridge.bodies("events"))
    for times in range(2):
        await harness.asked("events", followed + times)
        harness.runtime.die(agent.id)
        harness.bridge.cut(agent.id)
    return await over(harness, agent, AgentStatus.FAILED)


async def over(harness: AppHarness, agent: Agent, status: AgentStatus) -> Agent:
    """The agent, once it has ended and nothing of it is left; its bridge is a new one then."""
    ended = await harness.reaches(agent.id, status)
    await harness.changes.until(lambda: harness.fleet.run_of(agent.id) is None)
    harness.bridge.forget(agent.id)
    return ended


@pytest.mark.parametrize("end", [stopped, lost, failed])
async def test_the_kept_state_is_given_back_before_the_clone_is_made(
    harness: AppHarness, end: object
) -> None:
    harness.bridge.patch_bytes = PATCH
    agent = await end(harness, await harness.idle())  # type: ignore[operator]
    asked = len(harness.bridge.asked)
    await harness.reply(agent, "6.1", "restart")
    await harness.changes.found(lambda: notice(harness, agent))
    routes = [route for route, _, _ in harness.bridge.asked[asked:] if route != "events"]
    assert routes[:6] == [
        "health", "environment", "status", "restore", "apply", "workspace"
    ]  # fmt: skip
    assert harness.bridge.bodies("apply") == [PATCH]
    given = SavedConversation.model_validate_json(harness.bridge.bodies("restore")[0])
    assert given.last_seq == agent.last_seq
    assert harness.bridge.bodies("workspace")[-1].base_commit == agent.base_commit
    assert len(harness.runtime.specs) == 2
    assert "mark:6.1:eyes" in await harness.shown(agent.id)


async def notice(harness: AppHarness, agent: Agent) -> object:
    shown = await harness.shown(agent.id)
    return shown.get(f"notice:restarted:{agent.last_seq}")


async def test_what_was_told_after_the_kept_state_is_handed_over_again(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.changes.found(lambda: delivered(harness, agent.id))
    # The store notes by its own clock when a message was handed over.
    harness.clock.now = time.time()
    harness.bridge.finish(agent.id, "Done.")
    agent = await harness.reaches(agent.id, AgentStatus.IDLE)
    await harness.changes.found(lambda: kept(harness, agent.id))
    await harness.reply(agent, "5.1", "and a test")
    await harness.asked("chat")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    agent = await lost(harness, agent)
    await harness.reply(agent, "6.1", "restart")
    await harness.asked("chat", 2)
    assert [body.message_id for body in harness.bridge.bodies("chat")] == ["5.1", "5.1"]
    assert len(harness.bridge.bodies("execute")) == 1


async def test_without_a_kept_state_the_whole_task_is_done_again(harness: AppHarness) -> None:
    agent = await lost(harness, await harness.working())
    await harness.reply(agent, "6.1", "restart")
    await harness.asked("execute", 2)
    assert harness.bridge.bodies("execute")[1].text == COMMAND.task
    assert harness.bridge.bodies("apply") == [b""]


async def test_an_agent_that_never_had_a_workspace_starts_from_the_beginning(
    harness: AppHarness,
) -> None:
    harness.runtime.refusal = EngineError("The image is missing.")
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    agent = await over(harness, agent, AgentStatus.FAILED)
    harness.runtime.refusal = None
    await harness.reply(agent, "6.1", "restart")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert not harness.bridge.bodies("restore")


async def test_a_restart_delivered_many_times_makes_one_container(harness: AppHarness) -> None:
    agent = await stopped(harness, await harness.idle())
    await asyncio.gather(*(harness.reply(agent, "6.1", "restart") for _ in range(5)))
    await harness.changes.found(lambda: notice(harness, agent))
    assert len(harness.runtime.specs) == 2


@pytest.mark.parametrize("route", ["health", "restore", "apply", "workspace"])
async def test_a_restart_goes_on_after_the_bot_has_died_in_the_middle_of_it(
    harness: AppHarness, route: str
) -> None:
    agent = await stopped(harness, await harness.idle())
    done = len(harness.bridge.bodies(route))
    gate = harness.bridge.gates[route] = asyncio.Event()
    await harness.reply(agent, "6.1", "restart")
    await harness.asked(route, done + 1)
    await harness.restart()
    gate.set()
    await harness.fleet.reconcile()
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert len(harness.runtime.specs) == 2
    routes = harness.bridge.routes(agent.id)
    newest = [name for name in routes if name in {"restore", "apply", "workspace"}][-3:]
    assert newest == ["restore", "apply", "workspace"]
    assert harness.bridge.bodies("apply")[-1] == PATCH


async def test_a_restart_survives_a_death_of_the_bot_before_its_container_is_made(
    harness: AppHarness,
) -> None:
    agent = await stopped(harness, await harness.idle())
    harness.runtime.gate = asyncio.Event()
    await harness.reply(agent, "6.1", "restart")
    await harness.restart()
    harness.runtime.gate.set()
    await harness.fleet.reconcile()
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert harness.bridge.routes(agent.id).count("apply") == 1


async def test_a_restart_while_the_stop_still_removes_the_container_waits_for_it(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    gate = harness.runtime.removal = asyncio.Event()
    stopping = asyncio.create_task(harness.service.stop(agent.id, "UBEN"))
    agent = await harness.reaches(agent.id, AgentStatus.STOPPED)
    harness.bridge.forget(agent.id)
    await harness.reply(agent, "6.1", "restart")
    gate.set()
    await stopping
    await harness.fleet.reconcile()
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert harness.runtime.containers[agent.id].running
    assert agent.id in harness.gateway.opened


async def delivered(harness: AppHarness, agent_id: str) -> object:
    return True if not await harness.store.undelivered(agent_id) else None


async def kept(harness: AppHarness, agent_id: str) -> object:
    return await harness.store.saved_state(agent_id)
