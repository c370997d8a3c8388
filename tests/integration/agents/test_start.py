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
from tests.harness.app import COMMAND, ORIGIN, REPO, AppHarness


async def nothing_is_left(harness: AppHarness, agent_id: str) -> None:
    assert not harness.runtime.containers
    assert agent_id not in harness.gateway.opened
    await harness.changes.until(lambda: harness.fleet.run_of(agent_id) is None)


async def test_a_start_stores_posts_boots_clones_and_executes_in_this_order(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    stored = await harness.stored(agent.id)
    assert (stored.repo, stored.source_branch, stored.title) == (REPO, "main", "fix the flaky test")
    assert stored.target_branch == f"agent/{agent.id}-fix-the-flaky-test"
    assert stored.container_id == harness.runtime.containers[agent.id].id
    await harness.changes.until(lambda: "execute" in harness.bridge.routes(agent.id))
    asked = [route for route in harness.bridge.routes(agent.id) if route != "events"]
    assert asked == ["health", "status", "workspace", "execute"]
    assert list(await harness.shown(agent.id)) == ["root", f"card:{agent.id}-1"]
    assert stored.thread_ts == (await harness.shown(agent.id))["root"].ts


async def test_no_container_is_made_before_the_root_message_is_there(harness: AppHarness) -> None:
    harness.runtime.gate = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.changes.until(lambda: harness.runtime.specs)
    assert (agent.id, "root") in harness.outbox.shown
    harness.runtime.gate.set()
    await harness.reaches(agent.id, AgentStatus.WORKING)


async def test_the_container_gets_tokens_of_its_own_and_none_of_the_credentials(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    environment = harness.runtime.specs[0].environment
    assert environment["OPENROUTER_API_KEY"] == f"canary-{agent.id}"
    assert environment["BRIDGE_TOKEN"] == f"canary-bridge-{agent.id}"
    assert environment["COMMAND_TIMEOUT_SECONDS"] == "30.0"
    request = harness.bridge.bodies("workspace")[0]
    assert request.clone_url == "http://gateway.invalid/git/acme/api.git"
    assert harness.gateway.opened == {agent.id: REPO}


async def test_options_of_the_command_reach_the_model_and_the_clone(harness: AppHarness) -> None:
    command = StartAgent(REPO, "do it", branch="dev", model="acme/large", max_steps=3)
    agent = await harness.service.start(command, ORIGIN)
    assert agent
    await harness.asked("execute")
    execute, workspace = harness.bridge.bodies("execute")[0], harness.bridge.bodies("workspace")[0]
    assert (execute.model, execute.max_steps, execute.text) == ("acme/large", 3, "do it")
    assert workspace.source_branch == "dev"


async def test_an_agent_in_a_thread_that_exists_answers_there(harness: AppHarness) -> None:
    agent = await harness.service.start(COMMAND, replace(ORIGIN, thread_ts="77.7"))
    assert agent
    shown = (await harness.shown(agent.id))["root"]
    stored = await harness.store.agent(agent.id)
    assert shown.thread_ts == "77.7"
    assert stored
    assert stored.thread_ts == "77.7"


async def test_two_deliveries_of_one_command_start_one_agent(harness: AppHarness) -> None:
    started = await asyncio.gather(*(harness.service.start(COMMAND, ORIGIN) for _ in range(10)))
    assert len([agent for agent in started if agent is not None]) == 1
    assert len(await harness.store.agents(alive=False)) == 1
    await harness.asked("execute")
    assert len(harness.runtime.specs) == 1


async def test_two_commands_start_two_agents(harness: AppHarness) -> None:
    one = await harness.working("trigger-1")
    two = await harness.working("trigger-2")
    assert one.id != two.id
    assert len(harness.runtime.containers) == 2


@pytest.mark.parametrize("error", [RepositoryError("Not found."), ModelUnusable("Unknown.")])
async def test_what_cannot_be_used_is_refused_before_anything_is_stored(
    harness: AppHarness, error: UserError
) -> None:
    harness.gateway.repository_error = error if isinstance(error, RepositoryError) else None
    harness.gateway.model_error = error if isinstance(error, ModelUnusable) else None
    with pytest.raises(type(error)):
        await harness.service.start(COMMAND, ORIGIN)
    assert not await harness.store.agents(alive=False)
    assert not harness.runtime.specs
    assert not await harness.store.outbox_rows.open()


async def test_after_a_refusal_the_same_words_may_come_again(harness: AppHarness) -> None:
    harness.gateway.repository_error = RepositoryError("Not found.")
    with pytest.raises(RepositoryError):
        await harness.service.start(COMMAND, ORIGIN)
    harness.gateway.repository_error = None
    assert (await harness.working(ORIGIN.claim)).alive


async def test_a_channel_that_takes_no_message_starts_nothing(harness: AppHarness) -> None:
    harness.outbox.refusal = ChannelUnavailable("I am not in this channel.")
    with pytest.raises(ChannelUnavailable):
        await harness.service.start(COMMAND, ORIGIN)
    (agent,) = await harness.store.agents(alive=False)
    assert agent.status is AgentStatus.FAILED
    assert not harness.runtime.specs
    await nothing_is_left(harness, agent.id)


async def test_a_late_root_message_does_not_hold_the_boot_up(harness: AppHarness) -> None:
    harness.outbox.late = True
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.reaches(agent.id, AgentStatus.WORKING)
    shown = await harness.shown(agent.id)
    assert shown[f"card:{agent.id}-1"].thread_ts == shown["root"].ts


def _ended(shown: Mapping[str, Shown]) -> Shown:
    (post,) = (post for key, post in shown.items() if key.startswith("trouble:ended:"))
    return post


async def failed(harness: AppHarness) -> tuple[str, str]:
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.reaches(agent.id, AgentStatus.FAILED)
    await harness.changes.until(lambda: harness.runtime.removed)
    await nothing_is_left(harness, agent.id)
    shown = await harness.shown(agent.id)
    assert "interrupted" in shown[f"card:{agent.id}-1"].text
    return agent.id, _ended(shown).text


async def test_an_engine_that_starts_nothing_is_reported_and_leaves_nothing(
    harness: AppHarness,
) -> None:
    harness.runtime.refusal = EngineError("The image is missing. Run `make image`.")
    _, text = await failed(harness)
    assert text == "⚠ The image is missing. Run `make image`. " + AGAIN


@pytest.mark.parametrize(
    "code", [ErrorCode.REPOSITORY_NOT_FOUND, ErrorCode.CLONE_TIMEOUT, ErrorCode.NO_SPACE]
)
async def test_a_clone_that_fails_is_reported_and_leaves_nothing(
    harness: AppHarness, code: ErrorCode
) -> None:
    harness.bridge.refusals["workspace"] = WireError(code=code, message="It is not there.")
    _, text = await failed(harness)
    assert text == "⚠ Could not clone `acme/api`: It is not there. Nothing was changed."


async def test_a_bridge_that_never_answers_is_reported_under_the_agents_id(
    harness: AppHarness,
) -> None:
    gate = harness.bridge.gates["health"] = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    harness.bridge.unreachable.add(agent.id)
    gate.set()
    await harness.reaches(agent.id, AgentStatus.FAILED)
    await harness.changes.until(lambda: harness.runtime.removed)
    await nothing_is_left(harness, agent.id)
    assert f"`{agent.id}`" in _ended(await harness.shown(agent.id)).text


async def test_a_task_of_40000_characters_is_kept_whole(harness: AppHarness) -> None:
    task = "é" * 30_000
    agent = await harness.service.start(
        StartAgent(RepoRef("a", "b"), task), Origin("T1", "C1", "U")
    )
    assert agent
    await harness.asked("execute")
    assert harness.bridge.bodies("execute")[0].text == task
    assert len(agent.title) <= 120


async def test_a_start_that_waits_for_the_engine_says_so_and_goes_on(harness: AppHarness) -> None:
    harness.runtime.silent = True
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.changes.until(lambda: harness.runtime.unanswered >= 3)
    card = (await harness.shown(agent.id))[f"card:{agent.id}-1"]
    assert str(card.payload).count("engine") == 1
    assert "… engine" in str(card.payload)
    harness.runtime.silent = False
    await harness.reaches(agent.id, AgentStatus.WORKING)
