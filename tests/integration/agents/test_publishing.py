"""An agent's branch and pull request: every way that it can go, each with its next step."""

import asyncio

import pytest

from bot.agents.publishing import Publishing
from bot.domain.agent import Agent, AgentStatus
from bot.domain.pull_request import Credits, PullState
from bot.errors import NothingToPropose, RepositoryError, UserError
from bridge.protocol import Pushed
from tests.harness.app import KNOWN_SECRET, AppHarness
from tests.harness.refusals import refused

PATCH = f"diff --git a/a.py b/a.py\n+new {KNOWN_SECRET}\n".encode()
CREDITS = Credits("Ana")


def publishing(harness: AppHarness) -> Publishing:
    speakers, results = harness.store.speakers, harness.service.results
    return Publishing(harness.dependencies, harness.pulls, harness.writer.write, results, speakers)


@pytest.fixture
async def agent(harness: AppHarness) -> Agent:
    harness.gateway.pushes = True
    harness.bridge.patch_bytes = PATCH
    harness.bridge.pushed = Pushed(commit="c0ffee")
    return await harness.idle()


async def test_a_pull_request_is_described_from_the_diff_without_secrets(
    harness: AppHarness, agent: Agent
) -> None:
    harness.writer.words = f"Sort orders\n\nBecause of {KNOWN_SECRET}."
    made = await publishing(harness).open(agent, CREDITS)
    assert made.pull
    assert (made.is_new, made.pull.number, made.pull.title) == (True, 1, "Sort orders")
    [asked] = harness.writer.asked
    assert "+new [redacted]" in asked
    assert KNOWN_SECRET not in harness.pulls.bodies[0]
    [request] = [body for body in harness.bridge.bodies("push") if body.commit_message]
    assert request.commit_message == "fix the flaky test"


async def test_the_words_of_the_task_do_when_the_model_has_none(
    harness: AppHarness, agent: Agent
) -> None:
    made = await publishing(harness).open(agent, CREDITS)
    assert made.pull
    assert made.pull.title == "fix the flaky test"


async def test_one_that_is_open_already_is_kept_and_a_closed_one_is_followed_by_a_new_one(
    harness: AppHarness, agent: Agent
) -> None:
    publish = publishing(harness)
    first, second = await asyncio.gather(publish.open(agent, CREDITS), publish.open(agent, CREDITS))
    assert sorted([first.is_new, second.is_new]) == [False, True]
    assert first.pull == second.pull
    assert len(harness.writer.asked) == 1
    harness.pulls.ends(agent.target_branch, PullState.MERGED)
    found = await publish.state(agent)
    assert found
    assert found.state is PullState.MERGED
    third = await publish.open(agent, CREDITS)
    assert third.pull
    assert (third.is_new, third.pull.number) == (True, 2)


async def test_the_api_that_lets_us_open_none_leaves_a_link_to_do_it_by_hand(
    harness: AppHarness, agent: Agent
) -> None:
    harness.pulls.error = RepositoryError("This token opens no pull request.")
    made = await publishing(harness).open(agent, CREDITS)
    assert made.pull is None
    assert made.compare_url.endswith(f"/compare/main...{agent.target_branch}?expand=1")
    assert made.why_not == "This token opens no pull request."
    assert await publishing(harness).state(agent) is None


@pytest.mark.parametrize(
    ("pushed", "said"),
    [
        (Pushed(), "Nothing to push"),
        (Pushed(refusal="! <!channel> [rejected]"), "`! &lt;!channel&gt; [rejected]`."),
    ],
)
async def test_a_branch_that_is_not_pushed_says_why(
    harness: AppHarness, agent: Agent, pushed: Pushed, said: str
) -> None:
    harness.bridge.pushed = pushed
    with pytest.raises(UserError) as caught:
        await publishing(harness).push(agent)
    assert said in caught.value.user_text
    assert not harness.pulls.bodies


async def test_while_the_agent_works_nothing_is_committed(harness: AppHarness) -> None:
    harness.gateway.pushes = True
    agent = await harness.working()
    with refused(UserError, "The agent is at work"):
        await publishing(harness).push(agent)
    assert not harness.bridge.bodies("push")


async def test_without_a_token_the_next_step_is_named(harness: AppHarness) -> None:
    agent = await harness.idle()
    with refused(UserError, "/agent secrets"):
        await publishing(harness).open(agent, CREDITS)
    assert await publishing(harness).state(agent) is None


async def test_a_container_that_does_not_answer(harness: AppHarness, agent: Agent) -> None:
    harness.bridge.unreachable.add(agent.id)
    with refused(UserError, "did not answer"):
        await publishing(harness).push(agent)


async def test_of_an_agent_that_has_ended_its_branch_at_the_host_is_proposed(
    harness: AppHarness, agent: Agent
) -> None:
    await harness.service.stop(agent.id, "UANA")
    ended = await harness.reaches(agent.id, AgentStatus.STOPPED)
    made = await publishing(harness).open(ended, CREDITS)
    assert made.is_new
    harness.pulls.opened.clear()
    harness.gateway.repository_error = RepositoryError("There is no such branch.")
    with refused(UserError, "does not run"):
        await publishing(harness).open(ended, CREDITS)


async def test_a_branch_without_a_difference_is_said_to_be_so(
    harness: AppHarness, agent: Agent
) -> None:
    class Same(type(harness.pulls)):  # type: ignore[misc]
        async def create(self, *_: object) -> None:
            raise NothingToPropose("The branch holds nothing that `main` does not.")

    harness.pulls = Same()
    with pytest.raises(NothingToPropose):
        await publishing(harness).open(agent, CREDITS)


async def test_who_spoke_is_known_in_order(harness: AppHarness, agent: Agent) -> None:
    await harness.reply(agent, "5.1")
    await harness.asked("chat")
    assert await publishing(harness).speakers(agent.id) == ["UANA", "UBEN"]
