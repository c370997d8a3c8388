"""A stop needs nobody's consent: whatever the bridge answers, or fails inside the bot."""

from typing import Any

import pytest

from bot.agents.lifecycle.late_reading import FIRST_PAUSE_SECONDS, MOST_ATTEMPTS, LateReading
from bot.domain.agent import Agent, AgentStatus, Leftover
from bot.domain.posts import Post
from bot.domain.saved_state import SavedWork
from bot.errors import StoreUnavailable
from bot.slack.views.presenter import SlackPresenter
from tests.harness.app import AppHarness
from tests.scripted_bridge import CHANGED, PATCH

DEEP = RecursionError("maximum recursion depth exceeded")
UNREAD = "could not be read in time"
ONLY_FILES = "take too long"


async def stopped(harness: AppHarness, agent: Agent) -> Agent:
    """The agent after a stop, of which nothing runs any more and the thread was told once."""
    await harness.service.stop(agent.id, "UBEN")
    ended = await harness.stored(agent.id)
    assert ended.status is AgentStatus.STOPPED
    assert agent.id not in harness.runtime.containers
    assert harness.fleet.run_of(agent.id) is None
    posts = [key for key in await harness.shown(agent.id) if key.startswith("stopped:")]
    assert len(posts) == 1
    return ended


async def thread_of(harness: AppHarness, agent: Agent) -> str:
    return "\n".join(post.text for post in (await harness.shown(agent.id)).values())


@pytest.mark.parametrize(
    ("route", "leftover"),
    [
        ("interrupt", Leftover.PATCH),
        ("health", Leftover.PATCH),
        ("diff", Leftover.NOTHING),
        ("patch", Leftover.PATCH),
        ("export", Leftover.CONVERSATION),
        ("push", Leftover.NOTHING),
    ],
)
async def test_no_failure_of_one_part_keeps_an_agent_from_being_stopped(
    harness: AppHarness, route: str, leftover: Leftover
) -> None:
    agent = await harness.working()
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    harness.bridge.broken[route], harness.gateway.pushes = DEEP, True
    ended = await stopped(harness, agent)
    assert ended.leftover is leftover
    assert route in harness.bridge.routes(agent.id)
    assert (agent.id in harness.runtime.kept) is (leftover is not Leftover.NOTHING)
    text = await thread_of(harness, agent)
    assert (UNREAD in text) is (leftover is not Leftover.NOTHING)


async def test_changes_that_cannot_be_shown_do_not_keep_an_agent_from_being_stopped(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = SlackPresenter.stopped

    def broken(self: SlackPresenter, agent: Agent, actor: str, at: float, saved: SavedWork) -> Post:
        if saved.diff is not None:
            raise DEEP
        return show(self, agent, actor, at, saved)

    monkeypatch.setattr(SlackPresenter, "stopped", broken)
    agent = await harness.working()
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    ended = await stopped(harness, agent)
    assert ended.leftover is Leftover.FILES
    assert agent.id in harness.runtime.kept
    assert ONLY_FILES in await thread_of(harness, agent)


async def test_sockets_that_cannot_be_closed_leave_no_container(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_agent_id: str) -> None:
        raise DEEP  # a folder that the container made too deep

    monkeypatch.setattr(harness.gateway, "close", broken)
    await stopped(harness, await harness.working())


async def test_a_kept_state_that_cannot_be_read_now_is_no_reason_to_live_on(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_agent_id: str) -> Any:
        raise StoreUnavailable("The database takes nothing now.")

    agent = await harness.working()
    harness.bridge.saved, harness.bridge.broken["patch"] = CHANGED, DEEP
    monkeypatch.setattr(harness.store, "saved_state", away)
    ended = await stopped(harness, agent)
    assert ended.leftover is Leftover.PATCH


@pytest.mark.parametrize("route", ["health", "status", "patch", "export"])
async def test_files_that_cannot_be_read_are_parked_with_one_post(
    harness: AppHarness, route: str
) -> None:
    agent, other = await harness.working(), await harness.working("trigger-2")
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    harness.bridge.broken["patch"] = DEEP
    await harness.service.stop(agent.id, "UBEN")
    await harness.service.stop(other.id, "UBEN")
    harness.bridge.broken = {route: DEEP}
    late = LateReading(harness.dependencies, harness.fleet)
    for number in range(MOST_ATTEMPTS + 3):
        await late.read()
        harness.clock.now += FIRST_PAUSE_SECONDS * 2**number
    for parked in (agent, other):
        posts = [key for key in await harness.shown(parked.id) if key.startswith("salvaged:")]
        assert len(posts) == 1
        assert ONLY_FILES in await thread_of(harness, parked)
        assert parked.id in harness.runtime.kept
    assert not await harness.store.unread()
    assert not harness.runtime.containers


async def test_what_was_read_late_and_cannot_be_shown_is_parked(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, other = await harness.working(), await harness.working("trigger-2")
    harness.bridge.saved, harness.bridge.patch_bytes = CHANGED, PATCH
    harness.bridge.broken["patch"] = DEEP
    await harness.service.stop(agent.id, "UBEN")
    await harness.service.stop(other.id, "UBEN")
    del harness.bridge.broken["patch"]
    show = SlackPresenter.salvaged

    def broken(self: SlackPresenter, shown: Agent, saved: SavedWork) -> Post:
        if shown.id == agent.id and saved.diff is not None:
            raise DEEP
        return show(self, shown, saved)

    monkeypatch.setattr(SlackPresenter, "salvaged", broken)
    await LateReading(harness.dependencies, harness.fleet).read()
    assert (await harness.stored(agent.id)).leftover is Leftover.FILES
    assert (await harness.stored(other.id)).leftover is Leftover.NOTHING
    assert ONLY_FILES in await thread_of(harness, agent)
