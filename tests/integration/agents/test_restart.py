"""An agent that has ended goes on from what the host has kept, in a container of its own."""

import asyncio
import time

import pytest

from bot.domain.agent import Agent, AgentStatus
from bot.errors import EngineError
from bridge.protocol import SavedConversation
from tests.harness.app import COMMAND, ORIGIN, Stage
from tests.scripted_bridge import CHANGED, PATCH


async def stopped(stage: Stage, agent: Agent) -> Agent:
    stage.bridge.saved, stage.bridge.patch_bytes = CHANGED, PATCH
    stage.bridge.conversation = SavedConversation(protocol=1, last_seq=3).model_dump_json().encode()
    await stage.service.stop(agent.id, "UBEN")
    return await over(stage, agent, AgentStatus.STOPPED)


async def lost(stage: Stage, agent: Agent) -> Agent:
    del stage.runtime.containers[agent.id]
    stage.bridge.cut(agent.id)
    return await over(stage, agent, AgentStatus.LOST)


async def failed(stage: Stage, agent: Agent) -> Agent:
    await stage.reply(agent, "5.0", "and this")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    followed = len(stage.bridge.bodies("events"))
    for times in range(2):
        await stage.asked("events", followed + times)
        stage.runtime.die(agent.id)
        stage.bridge.cut(agent.id)
    return await over(stage, agent, AgentStatus.FAILED)


async def over(stage: Stage, agent: Agent, status: AgentStatus) -> Agent:
    """The agent, once it has ended and nothing of it is left; its bridge is a new one then."""
    ended = await stage.reaches(agent.id, status)
    await stage.changes.until(lambda: stage.fleet.run_of(agent.id) is None)
    stage.bridge.forget(agent.id)
    return ended


@pytest.mark.parametrize("end", [stopped, lost, failed])
async def test_the_kept_state_is_given_back_before_the_clone_is_made(
    stage: Stage, end: object
) -> None:
    stage.bridge.patch_bytes = PATCH
    agent = await end(stage, await stage.idle())  # type: ignore[operator]
    asked = len(stage.bridge.asked)
    await stage.reply(agent, "6.1", "restart")
    await stage.changes.found(lambda: notice(stage, agent))
    routes = [route for route, _, _ in stage.bridge.asked[asked:] if route != "events"]
    assert routes[:6] == [
        "health", "environment", "status", "restore", "apply", "workspace"
    ]  # fmt: skip
    assert stage.bridge.bodies("apply") == [PATCH]
    given = SavedConversation.model_validate_json(stage.bridge.bodies("restore")[0])
    assert given.last_seq == agent.last_seq
    assert stage.bridge.bodies("workspace")[-1].base_commit == agent.base_commit
    assert len(stage.runtime.specs) == 2
    assert "mark:6.1:eyes" in await stage.shown(agent.id)


async def notice(stage: Stage, agent: Agent) -> object:
    shown = await stage.shown(agent.id)
    return shown.get(f"notice:restarted:{agent.last_seq}")


async def test_what_was_told_after_the_kept_state_is_handed_over_again(stage: Stage) -> None:
    agent = await stage.working()
    await stage.changes.found(lambda: delivered(stage, agent.id))
    # The store notes by its own clock when a message was handed over.
    stage.clock.now = time.time()
    stage.bridge.finish(agent.id, "Done.")
    agent = await stage.reaches(agent.id, AgentStatus.IDLE)
    await stage.changes.found(lambda: kept(stage, agent.id))
    await stage.reply(agent, "5.1", "and a test")
    await stage.asked("chat")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    agent = await lost(stage, agent)
    await stage.reply(agent, "6.1", "restart")
    await stage.asked("chat", 2)
    assert [body.message_id for body in stage.bridge.bodies("chat")] == ["5.1", "5.1"]
    assert len(stage.bridge.bodies("execute")) == 1


async def test_without_a_kept_state_the_whole_task_is_done_again(stage: Stage) -> None:
    agent = await lost(stage, await stage.working())
    await stage.reply(agent, "6.1", "restart")
    await stage.asked("execute", 2)
    assert stage.bridge.bodies("execute")[1].text == COMMAND.task
    assert stage.bridge.bodies("apply") == [b""]


async def test_an_agent_that_never_had_a_workspace_starts_from_the_beginning(
    stage: Stage,
) -> None:
    stage.runtime.refusal = EngineError("The image is missing.")
    agent = await stage.service.start(COMMAND, ORIGIN)
    assert agent
    agent = await over(stage, agent, AgentStatus.FAILED)
    stage.runtime.refusal = None
    await stage.reply(agent, "6.1", "restart")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    assert not stage.bridge.bodies("restore")


async def test_a_restart_delivered_many_times_makes_one_container(stage: Stage) -> None:
    agent = await stopped(stage, await stage.idle())
    await asyncio.gather(*(stage.reply(agent, "6.1", "restart") for _ in range(5)))
    await stage.changes.found(lambda: notice(stage, agent))
    assert len(stage.runtime.specs) == 2


@pytest.mark.parametrize("route", ["health", "restore", "apply", "workspace"])
async def test_a_restart_goes_on_after_the_bot_has_died_in_the_middle_of_it(
    stage: Stage, route: str
) -> None:
    agent = await stopped(stage, await stage.idle())
    done = len(stage.bridge.bodies(route))
    gate = stage.bridge.gates[route] = asyncio.Event()
    await stage.reply(agent, "6.1", "restart")
    await stage.asked(route, done + 1)
    await stage.restart()
    gate.set()
    await stage.fleet.reconcile()
    await stage.reaches(agent.id, AgentStatus.IDLE)
    assert len(stage.runtime.specs) == 2
    routes = stage.bridge.routes(agent.id)
    newest = [name for name in routes if name in {"restore", "apply", "workspace"}][-3:]
    assert newest == ["restore", "apply", "workspace"]
    assert stage.bridge.bodies("apply")[-1] == PATCH


async def test_a_restart_survives_a_death_of_the_bot_before_its_container_is_made(
    stage: Stage,
) -> None:
    agent = await stopped(stage, await stage.idle())
    stage.runtime.gate = asyncio.Event()
    await stage.reply(agent, "6.1", "restart")
    await stage.restart()
    stage.runtime.gate.set()
    await stage.fleet.reconcile()
    await stage.reaches(agent.id, AgentStatus.IDLE)
    assert stage.bridge.routes(agent.id).count("apply") == 1


async def test_a_restart_while_the_stop_still_removes_the_container_waits_for_it(
    stage: Stage,
) -> None:
    agent = await stage.idle()
    gate = stage.runtime.removal = asyncio.Event()
    stopping = asyncio.create_task(stage.service.stop(agent.id, "UBEN"))
    agent = await stage.reaches(agent.id, AgentStatus.STOPPED)
    stage.bridge.forget(agent.id)
    await stage.reply(agent, "6.1", "restart")
    gate.set()
    await stopping
    await stage.fleet.reconcile()
    await stage.reaches(agent.id, AgentStatus.IDLE)
    assert stage.runtime.containers[agent.id].running
    assert agent.id in stage.gateway.opened


async def delivered(stage: Stage, agent_id: str) -> object:
    return True if not await stage.store.undelivered(agent_id) else None


async def kept(stage: Stage, agent_id: str) -> object:
    return await stage.store.saved_state(agent_id)
