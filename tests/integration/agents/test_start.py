import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from bot.agents.lifecycle.failures import AGAIN
from bot.agents.service import Origin
from bot.domain.agent import AgentStatus, RepoRef
from bot.domain.start_command import StartAgent
from bot.errors import ChannelUnavailable, EngineError, ModelUnusable, RepositoryError, UserError
from bridge.protocol import ErrorCode, WireError
from tests.fakes import Shown
from tests.harness.app import COMMAND, ORIGIN, REPO, Stage


async def nothing_is_left(stage: Stage, agent_id: str) -> None:
    assert not stage.runtime.containers
    assert agent_id not in stage.gateway.opened
    await stage.changes.until(lambda: stage.fleet.run_of(agent_id) is None)


async def test_a_start_stores_posts_boots_clones_and_executes_in_this_order(stage: Stage) -> None:
    agent = await stage.working()
    stored = await stage.store.agent(agent.id)
    assert stored
    assert (stored.repo, stored.source_branch, stored.title) == (REPO, "main", "fix the flaky test")
    assert stored.target_branch == f"agent/{agent.id}-fix-the-flaky-test"
    assert stored.container_id == stage.runtime.containers[agent.id].id
    await stage.changes.until(lambda: "execute" in stage.bridge.routes(agent.id))
    asked = [route for route in stage.bridge.routes(agent.id) if route != "events"]
    assert asked == ["health", "status", "workspace", "execute"]
    assert list(await stage.shown(agent.id)) == ["root", f"card:{agent.id}-1"]
    assert stored.thread_ts == (await stage.shown(agent.id))["root"].ts


async def test_no_container_is_made_before_the_root_message_is_there(stage: Stage) -> None:
    stage.runtime.gate = asyncio.Event()
    agent = await stage.service.start(COMMAND, ORIGIN)
    assert agent
    await stage.changes.until(lambda: stage.runtime.specs)
    assert (agent.id, "root") in stage.outbox.shown
    stage.runtime.gate.set()
    await stage.reaches(agent.id, AgentStatus.WORKING)


async def test_the_container_gets_tokens_of_its_own_and_none_of_the_credentials(
    stage: Stage,
) -> None:
    agent = await stage.working()
    environment = stage.runtime.specs[0].environment
    assert environment["OPENROUTER_API_KEY"] == f"canary-{agent.id}"
    assert environment["BRIDGE_TOKEN"] == f"canary-bridge-{agent.id}"
    assert environment["COMMAND_TIMEOUT_SECONDS"] == "30.0"
    request = stage.bridge.bodies("workspace")[0]
    assert request.clone_url == "http://gateway.invalid/git/acme/api.git"
    assert stage.gateway.opened == {agent.id: REPO}


async def test_options_of_the_command_reach_the_model_and_the_clone(stage: Stage) -> None:
    command = StartAgent(REPO, "do it", branch="dev", model="acme/large", max_steps=3)
    agent = await stage.service.start(command, ORIGIN)
    assert agent
    await stage.asked("execute")
    execute, workspace = stage.bridge.bodies("execute")[0], stage.bridge.bodies("workspace")[0]
    assert (execute.model, execute.max_steps, execute.text) == ("acme/large", 3, "do it")
    assert workspace.source_branch == "dev"


async def test_an_agent_in_a_thread_that_exists_answers_there(stage: Stage) -> None:
    agent = await stage.service.start(COMMAND, replace(ORIGIN, thread_ts="77.7"))
    assert agent
    shown = (await stage.shown(agent.id))["root"]
    stored = await stage.store.agent(agent.id)
    assert shown.thread_ts == "77.7"
    assert stored
    assert stored.thread_ts == "77.7"


async def test_two_deliveries_of_one_command_start_one_agent(stage: Stage) -> None:
    started = await asyncio.gather(*(stage.service.start(COMMAND, ORIGIN) for _ in range(10)))
    assert len([agent for agent in started if agent is not None]) == 1
    assert len(await stage.store.agents(alive=False)) == 1
    await stage.asked("execute")
    assert len(stage.runtime.specs) == 1


async def test_two_commands_start_two_agents(stage: Stage) -> None:
    one = await stage.working("trigger-1")
    two = await stage.working("trigger-2")
    assert one.id != two.id
    assert len(stage.runtime.containers) == 2


@pytest.mark.parametrize("error", [RepositoryError("Not found."), ModelUnusable("Unknown.")])
async def test_what_cannot_be_used_is_refused_before_anything_is_stored(
    stage: Stage, error: UserError
) -> None:
    stage.gateway.repository_error = error if isinstance(error, RepositoryError) else None
    stage.gateway.model_error = error if isinstance(error, ModelUnusable) else None
    with pytest.raises(type(error)):
        await stage.service.start(COMMAND, ORIGIN)
    assert not await stage.store.agents(alive=False)
    assert not stage.runtime.specs
    assert not await stage.store.outbox_rows.open()


async def test_after_a_refusal_the_same_words_may_come_again(stage: Stage) -> None:
    stage.gateway.repository_error = RepositoryError("Not found.")
    with pytest.raises(RepositoryError):
        await stage.service.start(COMMAND, ORIGIN)
    stage.gateway.repository_error = None
    assert (await stage.working(ORIGIN.claim)).alive


async def test_a_channel_that_takes_no_message_starts_nothing(stage: Stage) -> None:
    stage.outbox.refusal = ChannelUnavailable("I am not in this channel.")
    with pytest.raises(ChannelUnavailable):
        await stage.service.start(COMMAND, ORIGIN)
    (agent,) = await stage.store.agents(alive=False)
    assert agent.status is AgentStatus.FAILED
    assert not stage.runtime.specs
    await nothing_is_left(stage, agent.id)


async def test_a_late_root_message_does_not_hold_the_boot_up(stage: Stage) -> None:
    stage.outbox.late = True
    agent = await stage.service.start(COMMAND, ORIGIN)
    assert agent
    await stage.reaches(agent.id, AgentStatus.WORKING)
    shown = await stage.shown(agent.id)
    assert shown[f"card:{agent.id}-1"].thread_ts == shown["root"].ts


def _ended(shown: Mapping[str, Shown]) -> Shown:
    (post,) = (post for key, post in shown.items() if key.startswith("trouble:ended:"))
    return post


async def failed(stage: Stage) -> tuple[str, str]:
    agent = await stage.service.start(COMMAND, ORIGIN)
    assert agent
    await stage.reaches(agent.id, AgentStatus.FAILED)
    await stage.changes.until(lambda: stage.runtime.removed)
    await nothing_is_left(stage, agent.id)
    shown = await stage.shown(agent.id)
    assert "interrupted" in shown[f"card:{agent.id}-1"].text
    return agent.id, _ended(shown).text


async def test_an_engine_that_starts_nothing_is_reported_and_leaves_nothing(stage: Stage) -> None:
    stage.runtime.refusal = EngineError("The image is missing. Run `make image`.")
    _, text = await failed(stage)
    assert text == "⚠ The image is missing. Run `make image`. " + AGAIN


@pytest.mark.parametrize(
    "code", [ErrorCode.REPOSITORY_NOT_FOUND, ErrorCode.CLONE_TIMEOUT, ErrorCode.NO_SPACE]
)
async def test_a_clone_that_fails_is_reported_and_leaves_nothing(
    stage: Stage, code: ErrorCode
) -> None:
    stage.bridge.refusals["workspace"] = WireError(code=code, message="It is not there.")
    _, text = await failed(stage)
    assert text == "⚠ Could not clone `acme/api`: It is not there. Nothing was changed."


async def test_a_bridge_that_never_answers_is_reported_under_the_agents_id(stage: Stage) -> None:
    gate = stage.bridge.gates["health"] = asyncio.Event()
    agent = await stage.service.start(COMMAND, ORIGIN)
    assert agent
    stage.bridge.unreachable.add(agent.id)
    gate.set()
    await stage.reaches(agent.id, AgentStatus.FAILED)
    await stage.changes.until(lambda: stage.runtime.removed)
    await nothing_is_left(stage, agent.id)
    assert f"`{agent.id}`" in _ended(await stage.shown(agent.id)).text


async def test_a_task_of_40000_characters_is_kept_whole(stage: Stage) -> None:
    task = "é" * 30_000
    agent = await stage.service.start(StartAgent(RepoRef("a", "b"), task), Origin("T1", "C1", "U"))
    assert agent
    await stage.asked("execute")
    assert stage.bridge.bodies("execute")[0].text == task
    assert len(agent.title) <= 120


async def test_a_start_that_waits_for_the_engine_says_so_and_goes_on(stage: Stage) -> None:
    stage.runtime.silent = True
    agent = await stage.service.start(COMMAND, ORIGIN)
    assert agent
    await stage.changes.until(lambda: stage.runtime.unanswered >= 3)
    card = (await stage.shown(agent.id))[f"card:{agent.id}-1"]
    assert str(card.payload).count("engine") == 1
    assert "… engine" in str(card.payload)
    stage.runtime.silent = False
    await stage.reaches(agent.id, AgentStatus.WORKING)
