"""An agent's branch and pull request: every way that it can go, each with its next step."""

import asyncio

import pytest

from bot.agents.publishing import Publishing
from bot.domain.agent import Agent, AgentStatus
from bot.domain.pull_request import Credits, PullState
from bot.errors import NothingToPropose, RepositoryError, UserError
from bridge.protocol import Pushed
from tests.harness.app import KNOWN_SECRET, Stage
from tests.harness.refusals import refused

PATCH = f"diff --git a/a.py b/a.py\n+new {KNOWN_SECRET}\n".encode()
CREDITS = Credits("Ana")


def publishing(stage: Stage) -> Publishing:
    speakers, results = stage.store.thread_rows.speakers, stage.service.results
    return Publishing(stage.world, stage.pulls, stage.writer.write, results, speakers)


@pytest.fixture
async def agent(stage: Stage) -> Agent:
    stage.gateway.pushes = True
    stage.bridge.patch_bytes = PATCH
    stage.bridge.pushed = Pushed(commit="c0ffee")
    return await stage.idle()


async def test_a_pull_request_is_described_from_the_diff_without_secrets(
    stage: Stage, agent: Agent
) -> None:
    stage.writer.words = f"Sort orders\n\nBecause of {KNOWN_SECRET}."
    made = await publishing(stage).open(agent, CREDITS)
    assert made.pull
    assert (made.is_new, made.pull.number, made.pull.title) == (True, 1, "Sort orders")
    [asked] = stage.writer.asked
    assert "+new [redacted]" in asked
    assert KNOWN_SECRET not in stage.pulls.bodies[0]
    [request] = [body for body in stage.bridge.bodies("push") if body.commit_message]
    assert request.commit_message == "fix the flaky test"


async def test_the_words_of_the_task_do_when_the_model_has_none(stage: Stage, agent: Agent) -> None:
    made = await publishing(stage).open(agent, CREDITS)
    assert made.pull
    assert made.pull.title == "fix the flaky test"


async def test_one_that_is_open_already_is_kept_and_a_closed_one_is_followed_by_a_new_one(
    stage: Stage, agent: Agent
) -> None:
    publish = publishing(stage)
    first, second = await asyncio.gather(publish.open(agent, CREDITS), publish.open(agent, CREDITS))
    assert sorted([first.is_new, second.is_new]) == [False, True]
    assert first.pull == second.pull
    assert len(stage.writer.asked) == 1
    stage.pulls.ends(agent.target_branch, PullState.MERGED)
    found = await publish.state(agent)
    assert found
    assert found.state is PullState.MERGED
    third = await publish.open(agent, CREDITS)
    assert third.pull
    assert (third.is_new, third.pull.number) == (True, 2)


async def test_the_api_that_lets_us_open_none_leaves_a_link_to_do_it_by_hand(
    stage: Stage, agent: Agent
) -> None:
    stage.pulls.error = RepositoryError("This token opens no pull request.")
    made = await publishing(stage).open(agent, CREDITS)
    assert made.pull is None
    assert made.compare_url.endswith(f"/compare/main...{agent.target_branch}?expand=1")
    assert made.why_not == "This token opens no pull request."
    assert await publishing(stage).state(agent) is None


@pytest.mark.parametrize(
    ("pushed", "said"),
    [
        (Pushed(), "Nothing to push"),
        (Pushed(refusal="! <!channel> [rejected]"), "`! &lt;!channel&gt; [rejected]`."),
    ],
)
async def test_a_branch_that_is_not_pushed_says_why(
    stage: Stage, agent: Agent, pushed: Pushed, said: str
) -> None:
    stage.bridge.pushed = pushed
    with pytest.raises(UserError) as caught:
        await publishing(stage).push(agent)
    assert said in caught.value.user_text
    assert not stage.pulls.bodies


async def test_while_the_agent_works_nothing_is_committed(stage: Stage) -> None:
    stage.gateway.pushes = True
    agent = await stage.working()
    with refused(UserError, "The agent is at work"):
        await publishing(stage).push(agent)
    assert not stage.bridge.bodies("push")


async def test_without_a_token_the_next_step_is_named(stage: Stage) -> None:
    agent = await stage.idle()
    with refused(UserError, "/agent secrets"):
        await publishing(stage).open(agent, CREDITS)
    assert await publishing(stage).state(agent) is None


async def test_a_container_that_does_not_answer(stage: Stage, agent: Agent) -> None:
    stage.bridge.unreachable.add(agent.id)
    with refused(UserError, "did not answer"):
        await publishing(stage).push(agent)


async def test_of_an_agent_that_has_ended_its_branch_at_the_host_is_proposed(
    stage: Stage, agent: Agent
) -> None:
    await stage.service.stop(agent.id, "UANA")
    ended = await stage.reaches(agent.id, AgentStatus.STOPPED)
    made = await publishing(stage).open(ended, CREDITS)
    assert made.is_new
    stage.pulls.opened.clear()
    stage.gateway.repository_error = RepositoryError("There is no such branch.")
    with refused(UserError, "does not run"):
        await publishing(stage).open(ended, CREDITS)


async def test_a_branch_without_a_difference_is_said_to_be_so(stage: Stage, agent: Agent) -> None:
    class Same(type(stage.pulls)):  # type: ignore[misc]
        async def create(self, *_: object) -> None:
            raise NothingToPropose("The branch holds nothing that `main` does not.")

    stage.pulls = Same()
    with pytest.raises(NothingToPropose):
        await publishing(stage).open(agent, CREDITS)


async def test_who_spoke_is_known_in_order(stage: Stage, agent: Agent) -> None:
    await stage.reply(agent, "5.1")
    await stage.asked("chat")
    assert await publishing(stage).speakers(agent.id) == ["UANA", "UBEN"]
