import re

import pytest

from bot.domain.agent import Agent, AgentStatus, RepoRef, branch_for, checked_branch, new_agent_id
from bot.errors import InvalidCommand
from bridge.protocol import Outcome, TaskFinished, TaskStarted, UsageRecorded, WorkspaceReadyEvent


def an_agent(**changes: object) -> Agent:
    values: dict[str, object] = {
        "id": "k3f9ab",
        "team": "T1",
        "channel": "C1",
        "thread_ts": "1.2",
        "repo": RepoRef("acme", "api"),
        "source_branch": None,
        "target_branch": "agent/k3f9ab-fix",
        "title": "fix",
        "model": "m",
        "max_steps": 15,
        "started_by": "U1",
        "created_at": 100.0,
    }
    return Agent(**{**values, **changes})  # type: ignore[arg-type]


def started(seq: int, task_id: str = "k3f9ab-1") -> TaskStarted:
    return TaskStarted(seq=seq, at=1.0, task_id=task_id, text="t", model="m2", max_steps=9)


def test_a_task_makes_it_work_and_its_end_makes_it_idle() -> None:
    working = an_agent().apply(started(1))
    assert (working.status, working.task_number, working.model) == (AgentStatus.WORKING, 1, "m")
    ended = working.apply(
        TaskFinished(seq=2, at=2.0, outcome=Outcome.COMPLETED, steps=1, duration_seconds=1)
    )
    assert (ended.status, ended.last_seq) == (AgentStatus.IDLE, 2)


def test_an_event_twice_changes_nothing() -> None:
    once = an_agent().apply(started(1))
    assert once.apply(started(1, "k3f9ab-2")) is once


def test_a_stopped_agent_is_not_woken_by_late_events() -> None:
    stopped = an_agent(status=AgentStatus.STOPPED)
    assert stopped.apply(started(1)).status is AgentStatus.STOPPED


def test_tasks_are_counted_by_their_id() -> None:
    agent = an_agent().apply(started(1)).apply(started(2)).apply(started(3, "k3f9ab-2"))
    assert agent.task_number == 2


def test_cost_is_unknown_until_one_is_named() -> None:
    free = an_agent().apply(UsageRecorded(seq=1, model="m"))
    assert free.cost_usd is None
    paid = free.apply(UsageRecorded(seq=2, model="m", cost_usd=0.5))
    assert paid.apply(UsageRecorded(seq=3, model="m", cost_usd=0.25)).cost_usd == 0.75


def test_the_workspace_names_branch_and_base() -> None:
    ready = an_agent().apply(
        WorkspaceReadyEvent(
            seq=1,
            repository="acme/api",
            source_branch="main",
            target_branch="agent/k3f9ab-fix",
            base_commit="abc",
            duration_seconds=1.0,
        )
    )
    assert (ready.source_branch, ready.base_commit) == ("main", "abc")


@pytest.mark.parametrize("text", ["acme/api", "a/b.c", "a-b/c_d"])
def test_repositories(text: str) -> None:
    assert str(RepoRef.parse(text)) == text


def test_a_trailing_git_is_dropped() -> None:
    assert str(RepoRef.parse("acme/api.git")) == "acme/api"


@pytest.mark.parametrize(
    "text", ["", "/", "a/", "/b", "a/b/c", "a b/c", "a/..", "a/.git", "é/x", "a/b\n", "-a/b"]
)
def test_what_is_no_repository(text: str) -> None:
    with pytest.raises(InvalidCommand):
        RepoRef.parse(text)


def test_ids_and_branches_need_no_quoting() -> None:
    agent_id = new_agent_id()
    assert re.fullmatch(r"[a-z2-9]{6}", agent_id)
    branch = branch_for(agent_id, "Fix; the `flaky` $(test) ÜBER " + "long " * 30)
    assert checked_branch(branch) == branch
    assert branch_for("k3f9ab", "修正") == "agent/k3f9ab"
