"""In the loops that serve all agents, what one of them holds costs no other one anything."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bot.agents.agent_parts import MOST_FAILURES, PARKED_SECONDS, AgentParts
from bot.agents.disk_watch import DiskWatch
from bot.agents.egress_notices import EgressNotices
from bot.agents.reconcile import Leftovers
from bot.agents.service import Origin
from bot.config import Settings
from bot.domain.agent import Agent, AgentStatus
from bot.domain.egress import Denial, DenialReason
from bot.domain.posts import Post
from bot.errors import BridgeUnreachable, StoreUnavailable
from bot.slack.views.presenter import SlackPresenter
from bridge.protocol import ToolStarted
from tests.harness.app import COMMAND, AppHarness, app_harness

UNREADABLE = ValueError("what this agent holds cannot be read")


@pytest.fixture
async def pair(harness: AppHarness) -> tuple[Agent, Agent]:
    """Two agents at work; the first is the one that makes trouble, and comes first in loops."""
    await harness.working()
    await harness.working("trigger-2")
    hostile, fine = await harness.store.agents()
    return hostile, fine


def fails_for(monkeypatch: pytest.MonkeyPatch, target: Any, name: str, agent: Agent) -> None:
    """Let a method fail for this agent, whose id or row is an argument."""
    original = getattr(target, name)

    async def method(*args: Any, **named: Any) -> Any:
        if agent.id in {getattr(arg, "id", arg) for arg in args if isinstance(arg, str | Agent)}:
            raise UNREADABLE
        return await original(*args, **named)

    monkeypatch.setattr(target, name, method)


def not_shown(monkeypatch: pytest.MonkeyPatch, name: str, agent: Agent) -> None:
    """Let the presenter fail for this agent."""
    show: Callable[..., Post] = getattr(SlackPresenter, name)

    def method(self: SlackPresenter, shown: Agent, *args: Any) -> Post:
        if shown.id == agent.id:
            raise UNREADABLE
        return show(self, shown, *args)

    monkeypatch.setattr(SlackPresenter, name, method)


async def parked_posts(harness: AppHarness, agent: Agent) -> list[str]:
    shown = await harness.shown(agent.id)
    return [post.text for key, post in shown.items() if key.startswith("trouble:parked:")]


def failing(error: Exception, tried: list[float]) -> Callable[[], Awaitable[None]]:
    async def part() -> None:
        tried.append(1)
        raise error

    return part


async def test_one_that_fails_in_a_row_is_parked_with_one_post_and_tried_again_an_hour_later(
    harness: AppHarness,
) -> None:
    agent, tried = await harness.working(), list[float]()
    deps = harness.dependencies
    parts = AgentParts(deps.store, deps.presenter, deps.clock, "go on with it")
    part = failing(UNREADABLE, tried)
    for _ in range(MOST_FAILURES - 1):
        assert not await parts.run(agent.id, part)
    assert not await parked_posts(harness, agent)
    for _ in range(5):
        assert not await parts.run(agent.id, part)
    assert len(tried) == MOST_FAILURES
    [post] = await parked_posts(harness, agent)
    assert "Threadsmith cannot go on with it" in post
    assert agent.id in post
    harness.clock.now += PARKED_SECONDS + 1
    assert not await parts.run(agent.id, part)
    assert not await parts.run(agent.id, part)
    assert len(tried) == MOST_FAILURES + 1
    assert len(await parked_posts(harness, agent)) == 1


async def test_a_guard_passes_over_nobody_and_a_success_clears_the_count(
    harness: AppHarness,
) -> None:
    agent, tried = await harness.working(), list[float]()
    deps = harness.dependencies
    parts = AgentParts(deps.store, deps.presenter, deps.clock, "guard it", never_parked=True)
    for _ in range(2 * MOST_FAILURES):
        await parts.run(agent.id, failing(UNREADABLE, tried))
    assert len(tried) == 2 * MOST_FAILURES
    assert len(await parked_posts(harness, agent)) == 1

    async def well() -> None:
        pass

    deps = harness.dependencies
    parts = AgentParts(deps.store, deps.presenter, deps.clock, "try it")
    for _ in range(MOST_FAILURES):
        assert not await parts.run(agent.id, failing(UNREADABLE, tried))
        assert await parts.run(agent.id, well)
    assert len(await parked_posts(harness, agent)) == 1


async def test_known_trouble_parks_nobody_and_that_of_the_database_is_not_of_one_agent(
    harness: AppHarness,
) -> None:
    agent, tried = await harness.working(), list[float]()
    deps = harness.dependencies
    parts = AgentParts(deps.store, deps.presenter, deps.clock, "try it")
    for _ in range(2 * MOST_FAILURES):
        await parts.run(agent.id, failing(BridgeUnreachable("away"), tried))
    assert len(tried) == 2 * MOST_FAILURES
    assert not await parked_posts(harness, agent)
    with pytest.raises(StoreUnavailable):
        await parts.run(agent.id, failing(StoreUnavailable("full"), tried))


async def test_a_reconciliation_goes_on_with_the_others(
    harness: AppHarness, pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile, fine = pair
    await harness.restart()
    drive = harness.fleet._drive

    async def method(agent: Agent) -> None:
        if agent.id == hostile.id:
            raise UNREADABLE
        await drive(agent)

    monkeypatch.setattr(harness.fleet, "_drive", method)
    for _ in range(2 * MOST_FAILURES):
        await harness.fleet.reconcile()
    assert harness.fleet.run_of(fine.id)
    assert not harness.fleet.run_of(hostile.id)
    assert len(await parked_posts(harness, hostile)) == 1
    # A stop is never parked.
    await harness.service.stop(hostile.id, "UBEN")
    assert hostile.id not in harness.runtime.containers


async def test_one_whose_container_cannot_be_removed_leaves_the_others_to_be_removed(
    harness: AppHarness, pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = pair[0]
    await harness.fleet.close()
    async with harness.store.transaction() as tx:
        for agent in pair:
            current = await tx.agent(agent.id)
            assert current
            await tx.save_agent(current.with_status(AgentStatus.FAILED, 1.0))
    fails_for(monkeypatch, harness.runtime, "remove", hostile)
    await harness.fleet.reconcile()
    await Leftovers(harness.dependencies, harness.fleet).remove_files()
    assert set(harness.runtime.containers) == {hostile.id}


async def test_the_others_fall_asleep(
    harness: AppHarness, pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile, fine = pair
    for agent in pair:
        harness.bridge.finish(agent.id, "Done.")
        await harness.reaches(agent.id, AgentStatus.IDLE)
    harness.clock.now += 10 * harness.dependencies.settings.sleep_after_seconds
    fails_for(monkeypatch, harness.store, "undelivered", hostile)
    await harness.fleet.sleep_idle_agents()
    assert (await harness.stored(fine.id)).status is AgentStatus.SLEEPING
    assert (await harness.stored(hostile.id)).status is AgentStatus.IDLE


async def test_files_that_are_too_large_end_what_writes_whatever_the_bridge_answers(
    tmp_path: Path,
) -> None:
    settings = Settings(_env_file=None, container_disk_bytes=2**30)
    async with app_harness(tmp_path, settings) as harness:
        await harness.working()
        await harness.working("trigger-2")
        hostile, fine = await harness.store.agents()
        harness.runtime.sizes |= {hostile.id: 2**31, fine.id: 2**30 - 1}
        harness.bridge.broken["interrupt"] = UNREADABLE
        await DiskWatch(harness.dependencies, harness.fleet).measure()
        assert harness.runtime.containers[hostile.id].exit is not None
        shown = await harness.shown(fine.id)
        assert [key for key in shown if key.startswith("trouble:disk:")]


async def test_the_others_read_which_hosts_were_refused(
    harness: AppHarness, pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile, fine = pair
    not_shown(monkeypatch, "denied", hostile)
    notices = EgressNotices(harness.store, harness.dependencies.presenter, pause_seconds=0)
    for agent in pair:
        notices.note(agent.id, Denial("evil.example", 443, DenialReason.NOT_ON_LIST, 20.0))
    running = asyncio.create_task(notices.run())

    async def told() -> bool | None:
        shown = await harness.shown(fine.id)
        return any(key.startswith("notice:denied:") for key in shown) or None

    await harness.changes.found(told)
    assert not running.done()
    running.cancel()


async def test_an_event_that_cannot_be_read_costs_neither_loop_nor_agent(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    newest = (await harness.stored(agent.id)).last_seq
    call = ToolStarted(at=1.0, task_id=agent.task_id, call_id="c", tool="run", target="npm ci",
                       arguments="{}")  # fmt: skip
    harness.bridge.push(agent.id, call, call)

    async def is_stored() -> bool | None:
        return (await harness.stored(agent.id)).last_seq >= newest + 2 or None

    await harness.changes.found(is_stored)
    async with harness.store.transaction() as tx:
        await tx._connection.execute(
            text("UPDATE event SET body = replace(body, '\"c\"', 'null') WHERE seq = :seq"),
            {"seq": newest + 2},
        )
    notices = EgressNotices(harness.store, harness.dependencies.presenter, pause_seconds=0)
    notices.note(agent.id, Denial("evil.example", 443, DenialReason.NOT_ON_LIST, 20.0))
    running = asyncio.create_task(notices.run())

    async def told() -> str | None:
        shown = await harness.shown(agent.id)
        texts = [post.text for key, post in shown.items() if key.startswith("notice:denied:")]
        return texts[0] if texts else None

    assert "npm ci" in await harness.changes.found(told)
    running.cancel()
    assert harness.store.unreadable_events(agent.id) == 1
    await harness.restart()
    await harness.fleet.reconcile()
    await harness.asked("events", 2)
    assert (await harness.stored(agent.id)).status is AgentStatus.WORKING


async def test_a_run_that_ends_is_told_once_though_its_card_cannot_be_shown(
    harness: AppHarness, pair: tuple[Agent, Agent], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile, fine = pair
    not_shown(monkeypatch, "card", hostile)
    harness.bridge.finish(hostile.id, "Done.")
    await harness.reaches(hostile.id, AgentStatus.FAILED)
    for _ in range(3):
        await harness.fleet.reconcile()
    shown = await harness.shown(hostile.id)
    posts = [post.text for key, post in shown.items() if key.startswith("trouble:ended:")]
    assert len(posts) == 1
    assert hostile.id in posts[0]
    assert harness.fleet.run_of(fine.id)


async def test_one_that_waits_and_cannot_be_shown_keeps_nobody_from_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(_env_file=None).model_copy(update={"max_agents": 1})
    async with app_harness(tmp_path, settings) as harness:
        first = await harness.working()
        second, hostile = [
            await harness.service.start(COMMAND, Origin("T1", "C1", "UANA", claim=claim))
            for claim in ("trigger-2", "trigger-3")
        ]
        assert second
        assert hostile
        await harness.service.stop(first.id, "UBEN")
        not_shown(monkeypatch, "card", hostile)
        await harness.fleet.admit()
        await harness.reaches(second.id, AgentStatus.WORKING)
