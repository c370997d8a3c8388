import asyncio
from dataclasses import replace

import pytest

from bot.agents.lifecycle.background_loops import LoopSupervisor
from bot.agents.lifecycle.run import AgentRun
from bot.agents.reconcile import Reconciler
from bot.domain.agent import AgentStatus
from bot.errors import EngineError
from bridge.protocol import MessageWritten, StepStarted, TaskFinished
from tests.harness.app import COMMAND, ORIGIN, AppHarness, spec


async def test_after_a_restart_a_working_agent_goes_on_in_its_container(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    await harness.fleet.close()
    harness.bridge.push(agent.id, StepStarted(at=2.0, step=7, max_steps=15))
    harness.bridge.finish(agent.id, "Finished while nobody listened.")
    await harness.restart()
    await harness.fleet.reconcile()
    after = await harness.reaches(agent.id, AgentStatus.IDLE)
    assert after.step == 7
    assert len(harness.runtime.specs) == 1
    assert not harness.runtime.removed
    answers = [post for key, post in (await harness.shown(agent.id)).items() if "answer:" in key]
    assert [post.text for post in answers] == ["Finished while nobody listened."]


async def test_a_restart_stores_no_event_twice(harness: AppHarness) -> None:
    agent = await harness.idle()
    await harness.restart()
    await harness.fleet.reconcile()
    await harness.reply(agent, "5.1")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    seqs = [event.seq for event in await harness.store.events(agent.id)]
    assert seqs == list(range(1, len(seqs) + 1))
    kinds = [type(event) for event in await harness.store.events(agent.id)]
    assert kinds.count(TaskFinished) == kinds.count(MessageWritten) == 1


async def test_the_card_of_a_running_task_is_drawn_again_from_its_events(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.bridge.push(agent.id, StepStarted(at=2.0, task_id=agent.task_id, step=3, max_steps=15))
    await harness.changes.found(lambda: _step(harness, agent.id, 3))
    await harness.restart()
    await harness.fleet.reconcile()
    run = harness.fleet.run_of(agent.id)
    assert run
    await harness.asked("events", 2)
    assert (run.progress.card.step, run.progress.card.running) == (3, True)


@pytest.mark.parametrize("route", ["health", "workspace", "execute"])
async def test_a_boot_that_was_cut_short_is_finished_after_a_restart(
    harness: AppHarness, route: str
) -> None:
    gate = harness.bridge.gates[route] = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.asked(route)
    await harness.restart()
    gate.set()
    await harness.fleet.reconcile()
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert len(harness.runtime.specs) == 1
    started = [
        event for event in await harness.store.events(agent.id) if event.type == "task_started"
    ]
    assert len(started) == 1


async def test_a_clone_that_outlives_the_bot_is_waited_for(harness: AppHarness) -> None:
    gate = harness.bridge.gates["workspace"] = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.asked("workspace")
    await harness.restart()
    harness.bridge.cloning.add(agent.id)  # the bridge goes on with it, though nobody listens
    await harness.fleet.reconcile()
    await harness.asked("workspace", 2)
    assert harness.bridge.bodies("execute") == []
    harness.bridge.cloning.remove(agent.id)
    gate.set()
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert not [key for key in await harness.shown(agent.id) if key.startswith("refused:")]


async def test_a_container_that_never_ran_is_started_however_often_the_bot_dies_before_that(
    harness: AppHarness,
) -> None:
    gate = harness.bridge.gates["health"] = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    for life in range(1, 4):
        await harness.asked("health", life)
        await harness.restart()
        made = replace(harness.runtime.containers[agent.id], running=False, endpoint=None)
        harness.runtime.containers[agent.id] = made  # the engine has made it, and not started it
        await harness.fleet.reconcile()
    gate.set()
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert not [key for key in await harness.shown(agent.id) if key.startswith("trouble:")]


async def test_messages_that_waited_over_a_restart_are_handed_over(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.asked("execute")
    await harness.fleet.close()
    await harness.reply(agent, "5.1")
    await harness.restart()
    await harness.fleet.reconcile()
    await harness.asked("chat")


async def test_containers_of_ended_and_unknown_agents_are_removed(harness: AppHarness) -> None:
    agent = await harness.idle()
    await harness.fleet.close()
    async with harness.store.transaction() as tx:
        await tx.save_agent(replace(agent, status=AgentStatus.STOPPED))
    await harness.runtime.start(spec("stranger"))
    await harness.restart()
    await harness.fleet.reconcile()
    assert not harness.runtime.containers
    assert not harness.gateway.opened


async def test_one_that_is_being_started_or_stopped_is_left_alone(harness: AppHarness) -> None:
    await harness.runtime.start(spec("held01"))
    with harness.fleet.hold("held01"):
        await harness.fleet.reconcile()
        assert "held01" in harness.runtime.containers
    await harness.fleet.reconcile()
    assert "held01" not in harness.runtime.containers


async def test_while_an_agent_is_being_stopped_it_is_not_started_again(harness: AppHarness) -> None:
    agent = await harness.working()
    gate = harness.bridge.gates["diff"] = asyncio.Event()
    stopping = asyncio.create_task(harness.service.stop(agent.id, "UBEN"))
    await harness.asked("diff")
    await harness.fleet.cancel(agent.id)
    await harness.fleet.reconcile()
    assert harness.fleet.run_of(agent.id) is None
    gate.set()
    await stopping
    assert not harness.runtime.containers


async def test_a_silent_engine_changes_nothing(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.restart()
    harness.runtime.silent = True
    with pytest.raises(EngineError):
        await harness.fleet.reconcile()
    stored = await harness.stored(agent.id)
    assert stored.status is AgentStatus.WORKING
    assert not harness.runtime.removed


async def test_an_engine_that_falls_silent_during_the_recovery_costs_no_agent(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.bridge.finish(agent.id)
    agent = await harness.reaches(agent.id, AgentStatus.IDLE)
    await harness.restart()
    harness.runtime.silent = True
    harness.fleet.launch(agent)
    await harness.changes.until(lambda: harness.runtime.unanswered >= 3)
    harness.runtime.silent = False
    await harness.reply(agent, "5.1")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert not harness.runtime.removed


async def test_a_bridge_that_is_away_during_the_recovery_costs_no_agent(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    await harness.restart()
    harness.bridge.unreachable.add(agent.id)
    await harness.fleet.reconcile()
    await harness.asked("health", 4)
    harness.bridge.unreachable.clear()
    await harness.reply(agent, "5.1")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert not harness.runtime.removed


async def test_a_link_that_breaks_is_followed_again_from_the_last_event(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    for _ in range(3):
        harness.bridge.cut(agent.id)
        await harness.asked("events", len(harness.bridge.bodies("events")) + 1)
    harness.bridge.finish(agent.id, "Done.")
    await harness.reaches(agent.id, AgentStatus.IDLE)
    kinds = [event.type for event in await harness.store.events(agent.id)]
    assert kinds.count("task_started") == 1


async def test_while_the_engine_is_silent_a_broken_link_is_no_proof_of_death(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.runtime.silent = True
    for times in (2, 3):
        harness.bridge.cut(agent.id)
        await harness.asked("events", times)
    harness.runtime.silent = False
    harness.bridge.finish(agent.id, "Done.")
    await harness.reaches(agent.id, AgentStatus.IDLE)


async def test_a_container_that_is_gone_is_reported_in_the_thread(harness: AppHarness) -> None:
    agent = await harness.working()
    del harness.runtime.containers[agent.id]
    harness.bridge.cut(agent.id)
    await harness.reaches(agent.id, AgentStatus.LOST)
    await harness.changes.until(lambda: agent.id in harness.runtime.removed)
    shown = await harness.shown(agent.id)
    (said,) = (post.text for key, post in shown.items() if key.startswith("trouble:ended:"))
    assert "container of this agent is gone" in said
    assert "interrupted" in shown[f"card:{agent.id}-1"].text
    assert agent.id not in harness.gateway.opened


async def test_a_workspace_that_is_gone_is_reported_and_never_silently_replaced(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    await harness.fleet.close()
    harness.runtime.containers.clear()
    await harness.restart()
    await harness.fleet.reconcile()
    await harness.reaches(agent.id, AgentStatus.LOST)
    assert len(harness.runtime.specs) == 1


async def test_a_crash_of_one_agent_does_not_stop_another(harness: AppHarness) -> None:
    one, two = await harness.working("trigger-1"), await harness.working("trigger-2")
    del harness.runtime.containers[one.id]
    harness.bridge.cut(one.id)
    await harness.reaches(one.id, AgentStatus.LOST)
    harness.bridge.finish(two.id, "Done.")
    await harness.reaches(two.id, AgentStatus.IDLE)


async def test_closing_leaves_the_containers_at_work(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.fleet.close()
    await harness.fleet.close()
    assert agent.id in harness.runtime.containers
    stored = await harness.stored(agent.id)
    assert stored.alive


async def test_reconciling_again_and_again_changes_nothing(harness: AppHarness) -> None:
    agent = await harness.working()
    run = harness.fleet.run_of(agent.id)
    for _ in range(3):
        await harness.fleet.reconcile()
    assert harness.fleet.run_of(agent.id) is run
    assert harness.bridge.routes(agent.id).count("health") == 1


async def test_a_run_of_an_agent_that_is_over_does_nothing(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.service.stop(agent.id, "UBEN")
    specs = len(harness.runtime.specs)
    await AgentRun(harness.dependencies, agent).run()
    assert len(harness.runtime.specs) == specs
    assert agent.id not in harness.gateway.opened


async def _step(harness: AppHarness, agent_id: str, step: int) -> object:
    agent = await harness.store.agent(agent_id)
    return True if agent and agent.step == step else None


async def test_the_engines_word_that_a_container_ended_does_not_wait_for_the_interval(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    await harness.fleet.cancel(agent.id)
    async with harness.store.transaction() as tx:
        stored = await tx.agent(agent.id)
        assert stored
        await tx.save_agent(stored.with_status(AgentStatus.SLEEPING, 2.0))
    recovery = Reconciler(harness.dependencies, harness.service, harness.fleet)
    loops = LoopSupervisor()
    for name, loop in recovery.loops().items():
        loops.start(name, loop)
    await harness.changes.until(lambda: harness.runtime.watched)
    await harness.runtime.remove(agent.id, keep_files=True)
    await harness.reaches(agent.id, AgentStatus.LOST)
    await loops.cancel()


async def test_who_follows_a_bridge_and_is_ended_closes_the_stream(harness: AppHarness) -> None:
    agent = await harness.working()
    harness.bridge.gates["export"] = asyncio.Event()
    harness.bridge.finish(agent.id, "Done.")
    await harness.asked("export")
    assert harness.bridge.followers == 1
    await harness.fleet.cancel(agent.id)
    assert (harness.bridge.followers, harness.bridge.abandoned) == (0, 0)
