"""A container that was started again answers at another port, and its old one may be another's."""

from dataclasses import replace

from bot.domain.agent import AgentStatus
from bridge.protocol import ErrorCode, WireError
from tests.harness.app import Stage

STRANGER = WireError(code=ErrorCode.UNAUTHORIZED, message="This needs the token of this agent.")


async def test_a_stranger_at_the_old_port_is_no_proof_that_the_files_are_gone(
    stage: Stage,
) -> None:
    agent = await stage.working()
    stage.bridge.refusals["events"] = STRANGER
    stage.runtime.silent = True
    stage.bridge.cut(agent.id)
    await stage.asked("events", 3)
    del stage.bridge.refusals["events"]
    await stage.asked("events", len(stage.bridge.bodies("events")) + 1)
    stage.runtime.die(agent.id)
    stage.runtime.silent = False
    stage.bridge.cut(agent.id)
    await stage.changes.until(lambda: stage.runtime.containers[agent.id].running)
    stage.bridge.finish(agent.id, "Done.")
    await stage.reaches(agent.id, AgentStatus.IDLE)
    assert not stage.runtime.removed


async def test_a_message_that_a_stranger_refuses_is_kept_for_the_agent(stage: Stage) -> None:
    agent = await stage.idle()
    stage.bridge.refusals["chat"] = STRANGER
    stage.runtime.silent = True
    await stage.reply(agent, "5.1")
    await stage.asked("chat", 3)
    del stage.bridge.refusals["chat"]
    await stage.reaches(agent.id, AgentStatus.WORKING)
    assert "trouble:refused:5.1" not in await stage.shown(agent.id)


async def test_a_container_that_somebody_restarted_is_followed_at_its_new_port(
    stage: Stage,
) -> None:
    agent = await stage.working()
    followed = len(stage.bridge.bodies("events"))
    container = stage.runtime.containers[agent.id]
    moved = replace(container, endpoint=f"http://{agent.id}.invalid:2")
    stage.runtime.containers[agent.id] = moved
    stage.bridge.cut(agent.id)
    await stage.asked("health", 2)
    await stage.asked("events", followed + 1)
    stage.bridge.finish(agent.id, "Done.")
    await stage.reaches(agent.id, AgentStatus.IDLE)
    await stage.reply(agent, "5.1")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    assert not stage.runtime.removed
