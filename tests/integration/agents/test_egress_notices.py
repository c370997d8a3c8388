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
from tests.harness.app import Stage

NOT_LISTED = DenialReason.NOT_ON_LIST


def denial(host: str, at: float = 20.0, reason: DenialReason = NOT_LISTED) -> Denial:
    return Denial(host, 443, reason, at)


@pytest.fixture
async def denials(stage: Stage) -> AsyncIterator[EgressNotices]:
    made = EgressNotices(stage.store, stage.world.voice, pause_seconds=0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(made.run())
        yield made
        running.cancel()


async def run_command(stage: Stage, agent: Agent, call_id: str, command: str, at: float) -> None:
    stored = await stage.store.agent(agent.id)
    assert stored
    progress = Progress(stage.world, stored)
    await progress.restore(stored)
    seq = stored.last_seq + 1
    await progress.take(
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


async def lines(stage: Stage, agent: Agent) -> list[str]:
    shown = await stage.shown(agent.id)
    return [post.text for key, post in shown.items() if key.startswith("notice:denied:")]


async def said(stage: Stage, agent: Agent, word: str) -> list[str]:
    async def look() -> list[str] | None:
        found = await lines(stage, agent)
        return found if any(word in one for one in found) else None

    return await stage.changes.found(look)


async def test_a_refusal_is_told_with_the_command_that_caused_it(
    stage: Stage, denials: EgressNotices
) -> None:
    agent = await stage.working()
    await run_command(stage, agent, "1", "ls", 5.0)
    await run_command(stage, agent, "2", "pip install <evil>", 10.0)
    await run_command(stage, agent, "3", "make", 30.0)
    denials.note(agent.id, denial("evil.example"))
    [line] = await said(stage, agent, "evil.example")
    assert "pip install &lt;evil&gt;" in line
    assert "`evil.example`: not on the allow-list" in line
    assert "EGRESS_ALLOW" in line


async def test_ten_thousand_hosts_of_one_command_are_one_line(
    stage: Stage, denials: EgressNotices
) -> None:
    agent = await stage.working()
    await run_command(stage, agent, "1", "scan", 10.0)
    for number in range(10_000):
        denials.note(agent.id, denial(f"h{number}.example"))
    [line] = await said(stage, agent, "and 995 more")
    assert len(line) < 400
    for number in range(10_000):
        denials.note(agent.id, denial(f"h{number}.example"))
    await run_command(stage, agent, "2", "other", 40.0)
    denials.note(agent.id, denial("last.example", 41.0, DenialReason.PRIVATE_ADDRESS))
    found = await said(stage, agent, "last.example")
    assert len(found) == 2
    assert any("`other` was refused `last.example`: a private address" in one for one in found)


async def test_more_of_the_same_command_changes_its_line(
    stage: Stage, denials: EgressNotices
) -> None:
    agent = await stage.working()
    await run_command(stage, agent, "1", "npm install", 10.0)
    denials.note(agent.id, denial("a.example"))
    await said(stage, agent, "a.example")
    denials.note(agent.id, denial("b.example"))
    [line] = await said(stage, agent, "b.example")
    assert "`a.example`, `b.example`" in line


async def test_what_was_told_of_agents_long_ago_is_not_remembered(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.agents.egress_notices.MOST_TALLIES", 1)
    denials = EgressNotices(stage.store, stage.world.voice, pause_seconds=0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(denials.run())
        for number in range(3):
            agent = await stage.working(f"trigger-{number}")
            denials.note(agent.id, denial("a.example", 0.0))
            await said(stage, agent, "a.example")
            assert list(denials._tallies) == [agent.id]
        running.cancel()


async def test_what_no_command_did_is_told_too_and_of_strangers_nothing(
    stage: Stage, denials: EgressNotices
) -> None:
    agent = await stage.working()
    denials.note("nobody", denial("x.example"))
    denials.note(agent.id, denial("a.example", 0.0))
    [line] = await said(stage, agent, "a.example")
    assert line.startswith("🚧 A tool was refused `a.example`")


async def test_a_bug_at_one_agent_leaves_what_others_were_refused_to_the_next_run(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    denials = EgressNotices(stage.store, stage.world.voice, pause_seconds=0)
    bad, good = await stage.working(), await stage.working("trigger-2")
    await run_command(stage, good, "c1", "pip install evil", at=10.0)
    say = denials._say

    async def fail_for_one(agent_id: str, refused: Any) -> None:
        if agent_id == bad.id:
            raise ValueError("a bug")
        await say(agent_id, refused)

    monkeypatch.setattr(denials, "_say", fail_for_one)
    denials.note(bad.id, denial("evil.example"))
    denials.note(good.id, denial("evil.example"))
    with pytest.raises(ValueError, match="a bug"):
        await denials.run()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(denials.run())
        assert await said(stage, good, "evil.example")
        running.cancel()
