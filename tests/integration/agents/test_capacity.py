"""How many agents run, who waits, and that nobody gets past the limit."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.agents.service import Origin
from bot.config import Settings
from bot.domain.agent import Agent, AgentStatus, RepoRef
from bot.domain.settings_command import SetRule
from bot.errors import NotAllowed
from tests.harness.app import COMMAND, AppHarness, app_harness
from tests.harness.audit import read_audit

FREE = {"max_agents_per_user": 0, "max_agents_per_channel": 0, "starts_per_hour_per_user": 0}


def limited(**limits: int) -> Settings:
    """The default settings with these limits and no others."""
    return Settings(_env_file=None).model_copy(update=FREE | limits)


@pytest.fixture
async def one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AppHarness]:
    """A bot that runs one agent at a time."""
    for part in ("run", "message_delivery"):
        monkeypatch.setattr(f"bot.agents.lifecycle.{part}.RETRY_SECONDS", 0.001)
    settings = limited(max_agents=1)
    async with app_harness(tmp_path, settings) as harness, asyncio.TaskGroup() as group:
        admitting = group.create_task(harness.fleet.admit_for_ever())
        yield harness
        admitting.cancel()


def origin(number: int, user: str = "UANA") -> Origin:
    return Origin("T1", "C1", user, claim=f"trigger-{number}")


async def start(harness: AppHarness, number: int, user: str = "UANA") -> Agent:
    agent = await harness.service.start(COMMAND, origin(number, user))
    assert agent
    return agent


async def card(harness: AppHarness, agent: Agent, task: str = "") -> str:
    return (await harness.shown(agent.id))[f"card:{task or agent.first_task_id}"].text


async def says(harness: AppHarness, agent: Agent, words: str, task: str = "") -> None:
    async def look() -> bool | None:
        return True if words in await card(harness, agent, task) else None

    await harness.changes.found(look)


async def test_the_second_and_third_wait_and_move_up(one_place: AppHarness) -> None:
    harness = one_place
    first, second, third = [await start(harness, number) for number in (1, 2, 3)]
    await harness.reaches(first.id, AgentStatus.WORKING)
    assert "1st in the queue" in await card(harness, second)
    assert "2nd in the queue" in await card(harness, third)
    assert len(harness.runtime.specs) == 1
    await harness.service.stop(first.id, "UANA")
    await harness.reaches(second.id, AgentStatus.WORKING)
    await says(harness, third, "1st in the queue")
    harness.bridge.finish(second.id, "Done.")
    await harness.reaches(second.id, AgentStatus.IDLE)
    harness.clock.now += 61
    await harness.fleet.sleep_idle_agents()
    await harness.reaches(second.id, AgentStatus.SLEEPING)
    await harness.reaches(third.id, AgentStatus.WORKING)


async def test_a_waiting_agent_is_stopped_and_the_others_move_up(one_place: AppHarness) -> None:
    harness = one_place
    first, second, third = [await start(harness, number) for number in (1, 2, 3)]
    await harness.reaches(first.id, AgentStatus.WORKING)
    await harness.service.stop(second.id, "UBEN")
    await says(harness, third, "1st in the queue")
    assert "interrupted" in await card(harness, second)
    shown = await harness.shown(second.id)
    assert any("Stopped by <@UBEN>" in post.text for post in shown.values())
    stored = await harness.stored(second.id)
    assert (stored.status, stored.placed, stored.waiting) == (AgentStatus.STOPPED, False, False)
    await harness.service.stop(first.id, "UANA")
    await harness.reaches(third.id, AgentStatus.WORKING)
    assert {spec.agent_id for spec in harness.runtime.specs} == {first.id, third.id}


async def test_a_restart_keeps_the_queue_and_its_order(one_place: AppHarness) -> None:
    harness = one_place
    agents = [await start(harness, number) for number in (1, 2, 3)]
    await harness.reaches(agents[0].id, AgentStatus.WORKING)
    await harness.restart()
    await harness.fleet.reconcile()
    await harness.fleet.reconcile()
    assert len(harness.runtime.specs) == 1
    await harness.service.stop(agents[0].id, "UANA")
    await harness.fleet.reconcile()
    await harness.reaches(agents[1].id, AgentStatus.WORKING)
    assert "1st in the queue" in await card(harness, agents[2])


async def test_a_reply_wakes_a_sleeper_only_when_there_is_a_place(one_place: AppHarness) -> None:
    harness = one_place
    sleeper = await start(harness, 1)
    await harness.reaches(sleeper.id, AgentStatus.WORKING)
    harness.bridge.finish(sleeper.id, "Done.")
    await harness.reaches(sleeper.id, AgentStatus.IDLE)
    busy = await start(harness, 2)
    harness.clock.now += 61
    await harness.fleet.sleep_idle_agents()
    await harness.reaches(busy.id, AgentStatus.WORKING)
    await harness.reply(sleeper, "7.1", "go on")
    assert "1st in the queue" in await card(harness, sleeper, f"{sleeper.id}-7.1")
    await harness.fleet.reconcile()
    assert len([c for c in harness.runtime.containers.values() if c.running]) == 1
    await harness.service.stop(busy.id, "UANA")
    await harness.reaches(sleeper.id, AgentStatus.WORKING)
    assert [body.text for body in harness.bridge.bodies("chat")] == ["go on"]


async def test_an_agent_that_has_ended_comes_back_through_the_queue(one_place: AppHarness) -> None:
    harness = one_place
    ended = await start(harness, 1)
    await harness.reaches(ended.id, AgentStatus.WORKING)
    harness.bridge.finish(ended.id, "Done.")
    await harness.reaches(ended.id, AgentStatus.IDLE)
    await harness.service.stop(ended.id, "UANA")
    harness.bridge.forget(ended.id)
    busy = await start(harness, 2)
    await harness.reaches(busy.id, AgentStatus.WORKING)
    await harness.reply(ended, "8.1", "restart")
    stored = await harness.stored(ended.id)
    assert stored.waiting
    shown = (await harness.shown(ended.id))[f"notice:place:{stored.last_seq}"]
    assert "1st in the queue" in shown.text
    harness.bridge.conversation = b'{"protocol": 1, "last_seq": 0}'
    await harness.service.stop(busy.id, "UANA")
    await harness.reaches(ended.id, AgentStatus.IDLE)
    shown = (await harness.shown(ended.id))[f"notice:place:{stored.last_seq}"]
    assert "has a place now" in shown.text


async def test_a_quiet_thread_tells_of_the_waiting_in_one_message_and_shows_no_card(
    one_place: AppHarness,
) -> None:
    harness = one_place
    await harness.service.channel_settings.set(SetRule("verbosity", "quiet"), "UANA", "T1", "C1")
    busy = await start(harness, 1)
    await harness.reaches(busy.id, AgentStatus.WORKING)
    second = await start(harness, 2)
    shown = await harness.shown(second.id)
    assert set(shown) == {"root", "notice:place:0"}
    assert "1st in the queue" in shown["notice:place:0"].text
    await harness.service.stop(busy.id, "UANA")
    await harness.reaches(second.id, AgentStatus.WORKING)
    shown = await harness.shown(second.id)
    assert set(shown) == {"root", "notice:place:0"}
    assert "has a place now" in shown["notice:place:0"].text


async def test_fifty_starts_at_once_never_run_more_than_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.agents.lifecycle.run.RETRY_SECONDS", 0.001)
    settings = limited(max_agents=4)
    async with app_harness(tmp_path, settings) as harness, asyncio.TaskGroup() as group:
        admitting = group.create_task(harness.fleet.admit_for_ever())
        harness.outbox.late = True  # nobody looks at the posts
        agents = await asyncio.gather(*(start(harness, number) for number in range(50)))
        await harness.changes.until(lambda: len(harness.runtime.containers) == 4)
        stored = await harness.store.agents()
        assert sum(agent.placed for agent in stored) == 4
        assert sum(agent.waiting for agent in stored) == 46
        turns = [agent.waiting_since for agent in stored if agent.waiting]
        assert len(set(turns)) == 46
        for _ in range(3):
            running = [agent for agent in await harness.store.agents() if agent.placed]
            await asyncio.gather(*(harness.service.stop(one.id, "UANA") for one in running))
            await harness.changes.until(lambda: len(harness.runtime.containers) == 4)
        assert len({agent.id for agent in agents}) == 50
        placed = [agent for agent in await harness.store.agents() if agent.placed]
        assert len(placed) == 4
        admitting.cancel()


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        ("max_agents_per_user", "limit for one person"),
        ("max_agents_per_channel", "This channel has"),
        ("starts_per_hour_per_user", "Try again in 60 min"),
    ],
)
async def test_parallel_starts_do_not_get_past_a_limit_of_a_person_or_channel(
    tmp_path: Path, limit: str, says: str
) -> None:
    async with app_harness(tmp_path, limited(max_agents=0, **{limit: 3})) as harness:
        ends = await asyncio.gather(
            *(harness.service.start(COMMAND, origin(number)) for number in range(20)),
            return_exceptions=True,
        )
        refused = [end for end in ends if isinstance(end, NotAllowed)]
        assert len(refused) == 17
        assert all(says in error.user_text for error in refused)
        assert len(await harness.store.agents(alive=False)) == 3
        record = await read_audit(harness.store)
        assert sum(entry.outcome.startswith("allowed") for entry in record) == 3
        assert sum(entry.outcome.startswith("refused") for entry in record) == 17


async def test_the_hour_passes_and_another_person_is_not_held_up(tmp_path: Path) -> None:
    async with app_harness(tmp_path, limited(starts_per_hour_per_user=1)) as harness:
        await start(harness, 1)
        with pytest.raises(NotAllowed):
            await start(harness, 2)
        await start(harness, 3, "UBEN")
        harness.clock.now += 3_601
        await start(harness, 4)


async def test_a_repository_that_is_not_allowed_is_never_asked_for(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, allowed_repositories=("other/*",))
    async with app_harness(tmp_path, settings) as harness:
        harness.gateway.repository_error = None
        with pytest.raises(NotAllowed, match="other"):
            await start(harness, 1)
        await harness.service.start(replace(COMMAND, repo=RepoRef("Other", "x")), origin(2))
        (agent,) = await harness.store.agents(alive=False)
        assert str(agent.repo) == "Other/x"
        assert [entry.outcome[:7] for entry in await read_audit(harness.store)] == [
            "allowed",
            "refused",
        ]
