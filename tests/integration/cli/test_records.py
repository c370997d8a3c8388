"""The commands over stored agents, on a real database."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from bot.cli.main import main
from bot.config import Settings
from bot.domain.agent import Agent, AgentStatus, RepoRef
from bot.domain.saved_state import SavedState
from bot.store.agents import SqlStore
from bridge.protocol import (
    AgentEvent,
    MessageWritten,
    Outcome,
    SavedConversation,
    StepStarted,
    TaskFinished,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    UsageRecorded,
)

AGENT = Agent(
    id="k3f9ab",
    team="T1",
    channel="C1",
    thread_ts="1.0",
    repo=RepoRef("acme", "api"),
    source_branch="main",
    target_branch="agent/k3f9ab",
    title="fix it",
    model="m",
    max_steps=5,
    started_by="U1",
    created_at=1.0,
    status=AgentStatus.STOPPED,
)
TOOL = {"call_id": "c1", "tool": "read_file", "target": "README.md"}
EVENTS: tuple[AgentEvent, ...] = (
    TaskStarted(seq=1, task_id="t", text="fix it", model="m", max_steps=5),
    StepStarted(seq=2, task_id="t", step=1, max_steps=5),
    UsageRecorded(seq=3, task_id="t", model="m"),
    ToolStarted(seq=4, task_id="t", arguments="{}", **TOOL),
    ToolFinished(
        seq=5, task_id="t", ok=True, summary="3 lines", duration_seconds=0.1, result="x", **TOOL
    ),
    StepStarted(seq=6, task_id="t", step=2, max_steps=5),
    UsageRecorded(seq=7, task_id="t", model="m"),
    MessageWritten(seq=8, task_id="t", text="Done.", final=True),
    TaskFinished(seq=9, task_id="t", outcome=Outcome.COMPLETED, steps=2, duration_seconds=1.0),
)
SAVED = SavedConversation(protocol=1, last_seq=9, messages=({"role": "user", "content": "fix it"},))

Run = Callable[..., Result]


async def prepare(folder: Path, *agents: Agent) -> None:
    settings = Settings(_env_file=None, data_dir=folder)
    store = await SqlStore.open(settings.database, folder)
    async with store.transaction() as tx:
        for agent in agents:
            await tx.add_agent(agent)
        await tx.add_events(AGENT.id, EVENTS)
        state = SavedState(SAVED.model_dump_json().encode(), b"patch", 9, 2.0)
        await tx.save_state(AGENT.id, state)
    await store.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    data = tmp_path / "data"
    other = replace(AGENT, id="k3f9ac", thread_ts="2.0", status=AgentStatus.IDLE)
    asyncio.run(prepare(data, AGENT, other))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(data))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    return lambda *arguments: CliRunner().invoke(main, [*arguments])


def test_an_agent_is_written_to_a_file_once(run: Run, tmp_path: Path) -> None:
    assert "9 events" in run("export", "k3f9ab").output
    record = json.loads((tmp_path / "k3f9ab.json").read_text())
    assert [event["seq"] for event in record["events"]] == list(range(1, 10))
    assert record["conversation"]["messages"][0]["content"] == "fix it"
    again = run("export", "k3f9ab")
    assert again.exit_code == 1
    assert "cannot be written" in again.output


@pytest.mark.parametrize("by_file", [False, True])
def test_an_agent_is_run_again(
    run: Run, capfd: pytest.CaptureFixture[str], *, by_file: bool
) -> None:
    if by_file:
        run("export", "k3f9ab", "-o", "record.json")
    result = run("replay", "record.json" if by_file else "k3f9ab")
    assert result.exit_code == 0, result.output
    output = capfd.readouterr().out
    assert "read_file README.md: ok, 3 lines" in output
    assert "1 tasks, 1 as recorded" in output


def test_an_ended_agent_takes_a_conversation(run: Run, tmp_path: Path) -> None:
    run("export", "k3f9ab", "-o", "record.json")
    record = json.loads((tmp_path / "record.json").read_text())
    record["conversation"]["messages"][0]["content"] = "fix it well"
    (tmp_path / "changed.json").write_text(json.dumps(record))
    assert 'Reply "restart"' in run("import", "k3f9ab", "changed.json").output
    run("export", "k3f9ab", "-o", "after.json")
    after = json.loads((tmp_path / "after.json").read_text())
    assert after["conversation"]["messages"][0]["content"] == "fix it well"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "nobody"), "There is no agent nobody"),
        (("replay", "nobody"), "There is no agent nobody"),
        (("import", "nobody", "record.json"), "There is no agent nobody"),
        (("import", "k3f9ac", "record.json"), "has not ended"),
        (("import", "k3f9ab", "odd.json"), "no record"),
        (("replay", "odd.json"), "no record"),
        (("replay", "newer.json"), "newer version"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    run("export", "k3f9ab", "-o", "record.json")
    (tmp_path / "odd.json").write_text('{"events": 5}')
    newer = json.loads((tmp_path / "record.json").read_text()) | {"threadsmith_record": 9}
    (tmp_path / "newer.json").write_text(json.dumps(newer))
    result = run(*arguments)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


async def damage(folder: Path) -> None:
    settings = Settings(_env_file=None, data_dir=folder)
    store = await SqlStore.open(settings.database, folder)
    async with store.transaction() as tx:
        await tx.save_state(AGENT.id, SavedState(b"[" * 9_000, b"patch", 9, 2.0))
        await tx._connection.execute(text("UPDATE event SET body = '{}' WHERE seq = 4"))
    await store.close()


def test_what_a_container_made_unreadable_is_left_out_in_words(run: Run, tmp_path: Path) -> None:
    asyncio.run(damage(tmp_path / "data"))
    result = run("export", "k3f9ab")
    assert result.exit_code == 0, result.output
    assert "1 of its events cannot be read" in result.output
    assert "Its conversation cannot be read" in result.output
    record = json.loads((tmp_path / "k3f9ab.json").read_text())
    assert [event["seq"] for event in record["events"]] == [1, 2, 3, 5, 6, 7, 8, 9]
    assert record["conversation"] is None
