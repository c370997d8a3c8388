"""The Home tab: true when it is opened, and when the person's agents change."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from bot.domain.agent import Agent, AgentStatus
from bot.slack.handlers.home import HomeHandlers
from bot.slack.views.home import OPEN_DEFAULTS, STOP_HERE
from tests.harness.clocks import VirtualClock
from tests.integration.handlers.conftest import Office

HOME = "views.publish"


def shown(office: Office, name: str = "ana") -> str:
    home = office.slack.state.homes.get(office.person(name).user.id)
    return str(home.spec) if home else ""


async def until_shown(office: Office, words: str, name: str = "ana") -> None:
    await office.slack.feed.until(lambda: words in shown(office, name) or None)


async def test_it_shows_ones_own_agents_with_their_threads(office: Office) -> None:
    agent, ts = await office.in_thread()
    await office.person("ana").open_home()
    await until_shown(office, "1 agent of yours runs")
    assert agent.id in shown(office)
    assert f"p{ts.replace('.', '')}|thread" in shown(office)
    await office.person("ben").open_home()
    await until_shown(office, "You have no agent that runs", "ben")
    assert agent.id not in shown(office, "ben")


async def test_a_guest_reads_why_there_is_nothing(office: Office) -> None:
    await office.person("eve").open_home()
    await until_shown(office, "Guests cannot use agents here", "eve")


async def test_the_messages_tab_publishes_nothing(office: Office) -> None:
    await office.person("ana").open_home("messages")
    await office.settle()
    assert not shown(office)


async def test_an_agent_is_stopped_from_there(office: Office) -> None:
    agent, _ = await office.in_thread()
    ana = office.person("ana")
    await ana.open_home()
    await until_shown(office, "1 agent of yours runs")
    await ana.click_view(STOP_HERE)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    await until_shown(office, "You have no agent that runs")
    assert "stopped" in shown(office)


async def test_ones_defaults_are_set_in_a_form(office: Office) -> None:
    ana = office.person("ana")
    await ana.open_home()
    await until_shown(office, "Repository: none")
    await ana.click_view(OPEN_DEFAULTS)
    await ana.wait_for_view("Your defaults")
    outcome = await ana.submit_view({"repo": "../x", "model": "no model"})
    assert isinstance(outcome.answer, dict)
    assert set(outcome.answer["errors"]) == {"repo", "model"}
    await ana.submit_view({"repo": "acme/api", "model": "acme/small"})
    await until_shown(office, "Repository: `acme/api` · Model: `acme/small`")


@pytest.fixture
async def serving(office: Office) -> AsyncIterator[HomeHandlers]:
    """The office with its Home kept true, in time that does not pass by itself."""
    home = office.handlers.home
    home._clock = VirtualClock()
    async with asyncio.TaskGroup() as group:
        work = group.create_task(home.serve())
        yield home
        work.cancel()


@pytest.mark.usefixtures("serving")
async def test_it_follows_the_persons_agents_once_it_was_opened(office: Office) -> None:
    await office.person("ana").open_home()
    await until_shown(office, "You have no agent that runs")
    await office.person("ana").say("acme/api fix <!channel> & *it*", mention=True)
    await until_shown(office, "1 agent of yours runs")
    assert "<!channel>" not in shown(office)
    (agent,) = await office.agents()
    await office.harness.service.stop(agent.id, "U00000ANA")
    await until_shown(office, "stopped")


@pytest.mark.usefixtures("serving")
async def test_what_slack_refuses_is_tried_again_with_the_next_change(office: Office) -> None:
    await office.person("ana").open_home()
    await until_shown(office, "You have no agent that runs")
    office.slack.faults.fail(HOME, "error", code="internal_error")
    await office.in_thread()
    await until_shown(office, "1 agent of yours runs")


@pytest.mark.usefixtures("serving")
async def test_a_tab_that_cannot_be_drawn_is_in_the_way_of_no_other(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = office.person("ana"), office.person("ben")
    for person, name in ((ana, "ana"), (ben, "ben")):
        await person.open_home()
        await until_shown(office, "You have no agent that runs", name)
    store, failed = office.harness.store, asyncio.Event()
    agents_of = store.agents_of

    async def broken(team: str, user: str, limit: int) -> Sequence[Agent]:
        if user == ana.user.id:
            failed.set()
            raise ValueError("what these agents hold cannot be read")
        return await agents_of(team, user, limit)

    monkeypatch.setattr(store, "agents_of", broken)
    await ana.say("acme/api fix it", mention=True)
    await failed.wait()
    await ben.say("acme/api fix it, too", mention=True)
    await until_shown(office, "1 agent of yours runs", "ben")
