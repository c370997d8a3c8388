"""A container that was started again answers at another port, and its old one may be another's."""

from dataclasses import replace

from bot.domain.agent import AgentStatus
from bridge.protocol import ErrorCode, WireError
from tests.harness.app import AppHarness

STRANGER = WireError(code=ErrorCode.UNAUTHORIZED, message="This needs the token of this agent.")


async def test_a_stranger_at_the_old_port_is_no_proof_that_the_files_are_gone(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.bridge.refusals["events"] = STRANGER
    harness.runtime.silent = True
    harness.bridge.cut(agent.id)
    await harness.asked("events", 3)
    del harness.bridge.refusals["events"]
    await harness.asked("events", len(harness.bridge.bodies("events")) + 1)
    harness.runtime.die(agent.id)
    harness.runtime.silent = False
    harness.bridge.cut(agent.id)
    await harness.changes.until(lambda: harness.runtime.containers[agent.id].running)
    harness.bridge.finish(agent.id, "Done.")
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert not harness.runtime.removed


async def test_a_message_that_a_stranger_refuses_is_kept_for_the_agent(harness: AppHarness) -> None:
    agent = await harness.idle()
    harness.bridge.refusals["chat"] = STRANGER
    harness.runtime.silent = True
    await harness.reply(agent, "5.1")
    await harness.asked("chat", 3)
    del harness.bridge.refusals["chat"]
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert "trouble:refused:5.1" not in await harness.shown(agent.id)


async def test_a_container_that_somebody_restarted_is_followed_at_its_new_port(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    followed = len(harness.bridge.bodies("events"))
    container = harness.runtime.containers[agent.id]
    moved = replace(container, endpoint=f"http://{agent.id}.invalid:2")
    harness.runtime.containers[agent.id] = moved
    harness.bridge.cut(agent.id)
    await harness.asked("health", 2)
    await harness.asked("events", followed + 1)
    harness.bridge.finish(agent.id, "Done.")
    await harness.reaches(agent.id, AgentStatus.IDLE)
    await harness.reply(agent, "5.1")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert not harness.runtime.removed
