"""Every event as it travels. A change breaks containers that run; GOLDEN=rewrite accepts it."""

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge.protocol import (
    KNOWN_EVENTS,
    ApprovalChoice,
    Check,
    CheckKind,
    CheckRecorded,
    CheckRun,
    ContextCompacted,
    Event,
    Evidence,
    FileChange,
    FilesChanged,
    MessageTakenUp,
    MessageWritten,
    ModelChanged,
    ModelRetried,
    Outcome,
    PlanItem,
    PlanStatus,
    PlanUpdated,
    QuestionAnswered,
    QuestionAsked,
    QuestionKind,
    ReasoningWritten,
    StepStarted,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    TaskUndone,
    TextDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    UnknownEvent,
    UsageRecorded,
    WireError,
    WorkspaceCloning,
    WorkspaceReadyEvent,
    parse_event,
)

GOLDEN = Path(__file__).parents[3] / "golden" / "events"
REWRITE = os.environ.get("GOLDEN") == "rewrite"
ERROR = WireError(code="model_unavailable", message="502")
CHECK = CheckRun(
    command="pytest -q",
    kind=CheckKind.TESTS,
    exit_code=1,
    duration_seconds=6.2,
    passed=11,
    failed=1,
)
CHANGE = FileChange(path="app/orders.py", status="modified", added=14, removed=6)

EVENTS: tuple[Event, ...] = (
    WorkspaceCloning(seq=1, at=1.5, repository="acme/api", source_branch="main"),
    WorkspaceReadyEvent(
        seq=2,
        at=1.5,
        repository="acme/api",
        source_branch="main",
        target_branch="agent/k3f9ab",
        base_commit="c0ffee",
        duration_seconds=1.4,
    ),
    TaskStarted(
        seq=3,
        at=1.5,
        task_id="t",
        text="fix",
        model="m",
        max_steps=15,
        message_id="5.1",
    ),
    MessageTakenUp(seq=4, at=1.5, task_id="t", message_id="5.1", text="use tabs"),
    StepStarted(seq=5, at=1.5, task_id="t", step=1, max_steps=15),
    TextDelta(at=1.5, task_id="t", text="Let"),
    ReasoningWritten(seq=6, at=1.5, task_id="t", text="hm"),
    MessageWritten(seq=7, at=1.5, task_id="t", text="Done.", final=True),
    ToolStarted(
        seq=8, at=1.5, task_id="t", call_id="c", tool="read_file", target="a.py", arguments="{}"
    ),
    ToolOutput(at=1.5, task_id="t", call_id="c", text="out"),
    ToolFinished(
        seq=9,
        at=1.5,
        task_id="t",
        call_id="c",
        tool="run_command",
        target="pytest",
        ok=False,
        summary="exit 1",
        exit_code=1,
        duration_seconds=6.2,
        result="FAILED",
        files_touched=("a.py",),
    ),
    UsageRecorded(
        seq=10,
        at=1.5,
        task_id="t",
        model="m",
        provider="p",
        generation_id="g",
        prompt_tokens=20,
        completion_tokens=5,
        cached_tokens=3,
        reasoning_tokens=1,
        cost_usd=0.25,
    ),
    FilesChanged(seq=11, at=1.5, task_id="t", files=(CHANGE,)),
    ModelRetried(
        seq=12, at=1.5, task_id="t", attempt=1, max_attempts=3, wait_seconds=2.0, error=ERROR
    ),
    ModelChanged(seq=14, at=1.5, task_id="t", model="n", previous="m", error=ERROR),
    ContextCompacted(
        seq=15,
        at=1.5,
        task_id="t",
        messages_left_out=40,
        tokens_before=25_000,
        tokens_after=9_000,
        by_model=True,
        summary="So far.",
    ),
    TaskFinished(
        seq=13,
        at=1.5,
        task_id="t",
        outcome=Outcome.FAILED,
        steps=9,
        duration_seconds=112.0,
        error=ERROR,
        evidence=Evidence(checks=(Check(**CHECK.model_dump(), stale=True),), changed=True),
    ),
    PlanUpdated(
        seq=16,
        at=1.5,
        task_id="t",
        items=(PlanItem(text="reproduce it", status=PlanStatus.DONE), PlanItem(text="fix it")),
    ),
    QuestionAsked(
        seq=17,
        at=1.5,
        task_id="t",
        question_id="q1",
        call_id="c",
        kind=QuestionKind.APPROVAL,
        text="npm publish --dry-run",
        step=7,
        fingerprint="f00d",
        working_directory=".",
        reason="npm publish is not allowed.",
    ),
    QuestionAnswered(
        seq=18,
        at=1.5,
        task_id="t",
        question_id="q1",
        kind=QuestionKind.APPROVAL,
        answer=ApprovalChoice.ONCE,
        author="UANA",
        fingerprint="f00d",
        message_id="5.1",
    ),
    TaskPaused(seq=19, at=1.5, task_id="t", step=4),
    TaskResumed(seq=20, at=1.5, task_id="t"),
    CheckRecorded(seq=21, at=1.5, task_id="t", check=CHECK, tree="c0ffee"),
    TaskUndone(seq=22, at=1.5, undone_task_id="t", files=2),
)
NAMES = [type(event).__name__ for event in EVENTS]


def golden(event: Event) -> Path:
    return GOLDEN / f"{event.model_dump()['type']}.json"


def test_every_known_event_has_a_golden_file() -> None:
    assert {type(event) for event in EVENTS} == set(KNOWN_EVENTS)
    assert {path.name for path in GOLDEN.iterdir()} == {golden(event).name for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS, ids=NAMES)
def test_an_event_is_written_as_before(event: Event) -> None:
    written = json.dumps(event.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"
    if REWRITE:
        golden(event).write_text(written)
    assert golden(event).read_text() == written


@pytest.mark.parametrize("event", EVENTS, ids=NAMES)
def test_an_event_is_read_as_it_was_written(event: Event) -> None:
    assert parse_event(golden(event).read_bytes()) == event


@pytest.mark.parametrize("event", EVENTS, ids=NAMES)
def test_a_field_of_a_newer_bridge_is_let_pass(event: Event) -> None:
    newer = json.loads(golden(event).read_text()) | {"mood": "calm"}
    assert parse_event(json.dumps(newer)) == event


@pytest.mark.parametrize("event", EVENTS, ids=NAMES)
def test_a_string_without_end_is_refused(event: Event) -> None:
    body = json.loads(golden(event).read_text())
    bounded = set(body) - {"seq", "at", "type"} if event.seq else {"task_id"}
    for name in bounded:
        if isinstance(body[name], str) and name not in {"outcome", "kind"}:
            with pytest.raises(ValidationError):
                parse_event(json.dumps(body | {name: "x" * 300_000}))


def test_an_event_of_a_newer_bridge_is_kept_with_its_fields() -> None:
    read = parse_event('{"seq":7,"at":1.5,"type":"dream_dreamt","of":"sheep"}')
    assert isinstance(read, UnknownEvent)
    assert read.model_dump() == {
        "seq": 7,
        "at": 1.5,
        "task_id": None,
        "type": "dream_dreamt",
        "of": "sheep",
    }


@pytest.mark.parametrize("data", ["", "[]", "{}", '{"type":"step_started"}', '{"type":null}'])
def test_what_is_no_event_is_refused(data: str) -> None:
    with pytest.raises(ValidationError):
        parse_event(data)
