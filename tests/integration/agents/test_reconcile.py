import asyncio
from dataclasses import replace

import pytest

from bot.agents.lifecycle.background_loops import LoopSupervisor
from bot.agents.lifecycle.run import AgentRun
from bot.agents.reconcile import Reconciler
from bot.domain.agent import AgentStatus
from bot.errors import EngineError
from bridge.protocol import MessageWritten, StepStarted, TaskFinished
from tests.harness.app import COMMAND, ORIGIN, Stage, spec


async def test_after_a_restart_a_working_agent_goes_on_in_its_container(stage: Stage) -> None:
    agent = await stage.working()
    await stage.fleet.close()
    stage.bridge.push(agent.id, StepStarted(at=2.0, step=7, max_steps=15))
    stage.bridge.finish(agent.id, "Finished while nobody listened.")
    await stage.restart()
    await stage.fleet.reconcile()
    after = await stage.reaches(agent.id, AgentStatus.IDLE)
    assert after.step == 7
    assert len(stage.runtime.specs) == 1
    assert not stage.runtime.removed
    answers = [post for key, post in (await stage.shown(agent.id)).items() if "answer:" in key]
    assert [post.text for post in answers] == ["Finished while nobody listened."]


async def test_a_restart_stores_no_event_twice(stage: Stage) -> None:
    agent = await stage.idle()
    await stage.restart()
    await stage.fleet.reconcile()
    await stage.reply(agent, "5.1")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    seqs = [event.seq for event in await stage.store.events(agent.id)]
    assert seqs == list(range(1, len(seqs) + 1))
    kinds = [type(event) for event in await stage.store.events(agent.id)]
    assert kinds.count(TaskFinished) == kinds.count(MessageWritten) == 1


async def test_the_card_of_a_running_task_is_drawn_again_from_its_events(stage: Stage) -> None:
    agent = await stage.working()
    stage.bridge.push(agent.id, StepStarted(at=2.0, task_id=agent.task_id, step=3, max_steps=15))
    await stage.changes.found(lambda: _step(stage, agent.id, 3))
    await stage.restart()
    await stage.fleet.reconcile()
    run = stage.fleet.run_of(agent.id)
    assert run
    await stage.asked("events", 2)
    assert (run.progress.card.step, run.progress.card.running) == (3, True)


@pytest.mark.parametrize("route", ["health", "workspace", "execute"])
async def test_a_boot_that_was_cut_short_is_finished_after_a_restart(
    stage: Stage, route: str
) -> None:
    gate = stage.bridge.gates[route] = asyncio.Event()
    agent = await stage.service.start(COMMAND, ORIGIN)
    assert agent
    await stage.asked(route)
    await stage.restart()
    gate.set()
    await stage.fleet.reconcile()
    await stage.reaches(agent.id, AgentStatus.WORKING)
    assert len(stage.runtime.specs) == 1
    started = [
        event for event in await stage.store.events(agent.id) if event.type == "task_started"
    ]
    assert len(started) == 1


async def test_messages_that_waited_over_a_restart_are_handed_over(stage: Stage) -> None:
    agent = await stage.working()
    await stage.asked("execute")
    await stage.fleet.close()
    await stage.reply(agent, "5.1")
    await stage.restart()
    await stage.fleet.reconcile()
    await stage.asked("chat")


async def test_containers_of_ended_and_unknown_agents_are_removed(stage: Stage) -> None:
    agent = await stage.idle()
    await stage.fleet.close()
    async with stage.store.transaction() as tx:
        await tx.save_agent(replace(agent, status=AgentStatus.STOPPED))
    await stage.runtime.start(spec("stranger"))
    await stage.restart()
    await stage.fleet.reconcile()
    assert not stage.runtime.containers
    assert not stage.gateway.opened


async def test_one_that_is_being_started_or_stopped_is_left_alone(stage: Stage) -> None:
    await stage.runtime.start(spec("held01"))
    with stage.fleet.hold("held01"):
        await stage.fleet.reconcile()
        assert "held01" in stage.runtime.containers
    await stage.fleet.reconcile()
    assert "held01" not in stage.runtime.containers


async def test_while_an_agent_is_being_stopped_it_is_not_started_again(stage: Stage) -> None:
    agent = await stage.working()
    gate = stage.bridge.gates["diff"] = asyncio.Event()
    stopping = asyncio.create_task(stage.service.stop(agent.id, "UBEN"))
    await stage.asked("diff")
    await stage.fleet.cancel(agent.id)
    await stage.fleet.reconcile()
    assert stage.fleet.run_of(agent.id) is None
    gate.set()
    await stopping
    assert not stage.runtime.containers


async def test_a_silent_engine_changes_nothing(stage: Stage) -> None:
    agent = await stage.working()
    await stage.restart()
    stage.runtime.silent = True
    with pytest.raises(EngineError):
        await stage.fleet.reconcile()
    stored = await stage.store.agent(agent.id)
    assert stored
    assert stored.status is AgentStatus.WORKING
    assert not stage.runtime.removed


async def test_an_engine_that_falls_silent_during_the_recovery_costs_no_agent(
    stage: Stage,
) -> None:
    agent = await stage.working()
    stage.bridge.finish(agent.id)
    agent = await stage.reaches(agent.id, AgentStatus.IDLE)
    await stage.restart()
    stage.runtime.silent = True
    stage.fleet.launch(agent)
    await stage.changes.until(lambda: stage.runtime.unanswered >= 3)
    stage.runtime.silent = False
    await stage.reply(agent, "5.1")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    assert not stage.runtime.removed


async def test_a_bridge_that_is_away_during_the_recovery_costs_no_agent(stage: Stage) -> None:
    agent = await stage.idle()
    await stage.restart()
    stage.bridge.unreachable.add(agent.id)
    await stage.fleet.reconcile()
    await stage.asked("health", 4)
    stage.bridge.unreachable.clear()
    await stage.reply(agent, "5.1")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    assert not stage.runtime.removed


async def test_a_link_that_breaks_is_followed_again_from_the_last_event(stage: Stage) -> None:
    agent = await stage.working()
    for _ in range(3):
        stage.bridge.cut(agent.id)
        await stage.asked("events", len(stage.bridge.bodies("events")) + 1)
    stage.bridge.finish(agent.id, "Done.")
    await stage.reaches(agent.id, AgentStatus.IDLE)
    kinds = [event.type for event in await stage.store.events(agent.id)]
    assert kinds.count("task_started") == 1


async def test_while_the_engine_is_silent_a_broken_link_is_no_proof_of_death(
    stage: Stage,
) -> None:
    agent = await stage.working()
    stage.runtime.silent = True
    for times in (2, 3):
        stage.bridge.cut(agent.id)
        await stage.asked("events", times)
    stage.runtime.silent = False
    stage.bridge.finish(agent.id, "Done.")
    await stage.reaches(agent.id, AgentStatus.IDLE)


async def test_a_container_that_is_gone_is_reported_in_the_thread(stage: Stage) -> None:
    agent = await stage.working()
    del stage.runtime.containers[agent.id]
    stage.bridge.cut(agent.id)
    await stage.reaches(agent.id, AgentStatus.LOST)
    await stage.changes.until(lambda: agent.id in stage.runtime.removed)
    shown = await stage.shown(agent.id)
    (said,) = (post.text for key, post in shown.items() if key.startswith("trouble:ended:"))
    assert "container of this agent is gone" in said
    assert "interrupted" in shown[f"card:{agent.id}-1"].text
    assert agent.id not in stage.gateway.opened


async def test_a_workspace_that_is_gone_is_reported_and_never_silently_replaced(
    stage: Stage,
) -> None:
    agent = await stage.idle()
    await stage.fleet.close()
    stage.runtime.containers.clear()
    await stage.restart()
    await stage.fleet.reconcile()
    await stage.reaches(agent.id, AgentStatus.LOST)
    assert len(stage.runtime.specs) == 1


async def test_a_crash_of_one_agent_does_not_stop_another(stage: Stage) -> None:
    one, two = await stage.working("trigger-1"), await stage.working("trigger-2")
    del stage.runtime.containers[one.id]
    stage.bridge.cut(one.id)
    await stage.reaches(one.id, AgentStatus.LOST)
    stage.bridge.finish(two.id, "Done.")
    await stage.reaches(two.id, AgentStatus.IDLE)


async def test_closing_leaves_the_containers_at_work(stage: Stage) -> None:
    agent = await stage.working()
    await stage.fleet.close()
    await stage.fleet.close()
    assert agent.id in stage.runtime.containers
    stored = await stage.store.agent(agent.id)
    assert stored
    assert stored.alive


async def test_reconciling_again_and_again_changes_nothing(stage: Stage) -> None:
    agent = await stage.working()
    run = stage.fleet.run_of(agent.id)
    for _ in range(3):
        await stage.fleet.reconcile()
    assert stage.fleet.run_of(agent.id) is run
    assert stage.bridge.routes(agent.id).count("health") == 1


async def test_a_run_of_an_agent_that_is_over_does_nothing(stage: Stage) -> None:
    agent = await stage.working()
    await stage.service.stop(agent.id, "UBEN")
    specs = len(stage.runtime.specs)
    await AgentRun(stage.world, agent).run()
    assert len(stage.runtime.specs) == specs
    assert agent.id not in stage.gateway.opened


async def _step(stage: Stage, agent_id: str, step: int) -> object:
    agent = await stage.store.agent(agent_id)
    return True if agent and agent.step == step else None


async def test_the_engines_word_that_a_container_ended_does_not_wait_for_the_interval(
    stage: Stage,
) -> None:
    agent = await stage.idle()
    await stage.fleet.cancel(agent.id)
    async with stage.store.transaction() as tx:
        stored = await tx.agent(agent.id)
        assert stored
        await tx.save_agent(stored.with_status(AgentStatus.SLEEPING, 2.0))
    recovery = Reconciler(stage.world, stage.service, stage.fleet)
    loops = LoopSupervisor()
    for name, loop in recovery.loops().items():
        loops.start(name, loop)
    await stage.changes.until(lambda: stage.runtime.watched)
    await stage.runtime.remove(agent.id, keep_files=True)
    await stage.reaches(agent.id, AgentStatus.LOST)
    await loops.cancel()


async def test_who_follows_a_bridge_and_is_ended_closes_the_stream(stage: Stage) -> None:
    agent = await stage.working()
    stage.bridge.gates["export"] = asyncio.Event()
    stage.bridge.finish(agent.id, "Done.")
    await stage.asked("export")
    assert stage.bridge.followers == 1
    await stage.fleet.cancel(agent.id)
    assert (stage.bridge.followers, stage.bridge.abandoned) == (0, 0)
