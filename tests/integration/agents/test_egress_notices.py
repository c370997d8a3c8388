"""The line in the thread about what a command wanted from the network and did not get."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.agents.egress_notices import EgressNotices
from bot.agents.lifecycle.progress import Progress
from bot.domain.agent import Agent
from bot.domain.egress import Denial, DenialReason
from bridge.protocol import ToolStarted
from tests.harness.app import AppHarness

NOT_LISTED = DenialReason.NOT_ON_LIST


def denial(host: str, at: float = 20.0, reason: DenialReason = NOT_LISTED) -> Denial:
    return Denial(host, 443, reason, at)


@pytest.fixture
async def denials(harness: AppHarness) -> AsyncIterator[EgressNotices]:
    made = EgressNotices(harness.store, harness.dependencies.presenter, pause_seconds=0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(made.run())
        yield made
        running.cancel()


async def run_command(
    harness: AppHarness, agent: Agent, call_id: str, command: str, at: float
) -> None:
    stored = await harness.stored(agent.id)
    progress = Progress(harness.dependencies, stored)
    await progress.restore(stored)
    seq = stored.last_seq + 1
    await progress.take_event(
        ToolStarted(
            seq=seq,
            at=at,
            task_id=stored.task_id,
            call_id=call_id,
            tool="run_command",
            target=command,
            arguments="{}",
        )
    )


async def lines(harness: AppHarness, agent: Agent) -> list[str]:
    shown = await harness.shown(agent.id)
    return [post.text for key, post in shown.items() if key.startswith("notice:denied:")]


async def said(harness: AppHarness, agent: Agent, word: str) -> list[str]:
    async def look() -> list[str] | None:
        found = await lines(harness, agent)
        return found if any(word in one for one in found) else None

    return await harness.changes.found(look)


async def test_a_refusal_is_told_with_the_command_that_caused_it(
    harness: AppHarness, denials: EgressNotices
) -> None:
    agent = await harness.working()
    await run_command(harness, agent, "1", "ls", 5.0)
    await run_command(harness, agent, "2", "pip install <evil>", 10.0)
    await run_command(harness, agent, "3", "make", 30.0)
    denials.note(agent.id, denial("evil.example"))
    [line] = await said(harness, agent, "evil.example")
    assert "pip install &lt;evil&gt;" in line
    assert "`evil.example`: not on the allow-list" in line
    assert "EGRESS_ALLOW" in line


async def test_ten_thousand_hosts_of_one_command_are_one_line(
    harness: AppHarness, denials: EgressNotices
) -> None:
    agent = await harness.working()
    await run_command(harness, agent, "1", "scan", 10.0)
    for number in range(10_000):
        denials.note(agent.id, denial(f"h{number}.example"))
    [line] = await said(harness, agent, "and 995 more")
    assert len(line) < 400
    for number in range(10_000):
        denials.note(agent.id, denial(f"h{number}.example"))
    await run_command(harness, agent, "2", "other", 40.0)
    denials.note(agent.id, denial("last.example", 41.0, DenialReason.PRIVATE_ADDRESS))
    found = await said(harness, agent, "last.example")
    assert len(found) == 2
    assert any("`other` was refused `last.example`: a private address" in one for one in found)


async def test_more_of_the_same_command_changes_its_line(
    harness: AppHarness, denials: EgressNotices
) -> None:
    agent = await harness.working()
    await run_command(harness, agent, "1", "npm install", 10.0)
    denials.note(agent.id, denial("a.example"))
    await said(harness, agent, "a.example")
    denials.note(agent.id, denial("b.example"))
    [line] = await said(harness, agent, "b.example")
    assert "`a.example`, `b.example`" in line


async def test_what_was_told_of_agents_long_ago_is_not_remembered(
    harness: AppHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.agents.egress_notices.MOST_TALLIES", 1)
    denials = EgressNotices(harness.store, harness.dependencies.presenter, pause_seconds=0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(denials.run())
        for number in range(3):
            agent = await harness.working(f"trigger-{number}")
            denials.note(agent.id, denial("a.example", 0.0))
            await said(harness, agent, "a.example")
            assert list(denials._tallies) == [agent.id]
        running.cancel()


async def test_what_no_command_did_is_told_too_and_of_strangers_nothing(
    harness: AppHarness, denials: EgressNotices
) -> None:
    agent = await harness.working()
    denials.note("nobody", denial("x.example"))
    denials.note(agent.id, denial("a.example", 0.0))
    [line] = await said(harness, agent, "a.example")
    assert line.startswith("🚧 A tool was refused `a.example`")


async def test_a_bug_at_one_agent_keeps_from_no_other_what_it_was_refused(
    harness: AppHarness, denials: EgressNotices, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await harness.working(), await harness.working("trigger-2")
    await run_command(harness, good, "c1", "pip install evil", at=10.0)
    say = denials._post

    async def fail_for_one(agent_id: str, refused: Any) -> None:
        if agent_id == bad.id:
            raise ValueError("a bug")
        await say(agent_id, refused)

    monkeypatch.setattr(denials, "_post", fail_for_one)
    denials.note(bad.id, denial("evil.example"))
    denials.note(good.id, denial("evil.example"))
    assert await said(harness, good, "evil.example")
    assert not await lines(harness, bad)
