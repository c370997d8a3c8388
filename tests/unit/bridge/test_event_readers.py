"""Which events each reader names, and which take its default. A new type of event fails here until
somebody has decided for every reader."""

import ast
import inspect
import textwrap
from collections.abc import Callable

import pytest

from bridge.protocol import KNOWN_EVENTS
from bridge.replay.__main__ import Replay
from bridge.replay.recording import _RecordedStep, comparable
from bridge.state import event_log
from bridge.state.projection import Projection

NAMED: dict[Callable[..., object], str] = {
    Projection.add_event: """
        WorkspaceReadyEvent TaskStarted MessageTakenUp StepStarted ModelChanged ToolStarted
        ToolFinished UsageRecorded QuestionAsked QuestionAnswered TaskPaused TaskResumed
        CheckRecorded TaskFinished TaskUndone
    """,
    event_log._halve: "MessageWritten ReasoningWritten FilesChanged ToolFinished",
    _RecordedStep.add_event: """
        ModelRetried ModelChanged ContextCompacted UsageRecorded ReasoningWritten MessageWritten
        ToolStarted
    """,
    comparable: """
        ContextCompacted FilesChanged TaskFinished PlanUpdated CheckRecorded QuestionAsked
        QuestionAnswered TaskPaused TaskResumed
    """,
    Replay._print_event: "StepStarted MessageTakenUp MessageWritten ToolFinished",
}
BY_DEFAULT: dict[Callable[..., object], str] = {
    Projection.add_event: """
        WorkspaceCloning TextDelta ReasoningWritten MessageWritten ToolOutput FilesChanged
        ModelRetried ContextCompacted PlanUpdated
    """,
    event_log._halve: """
        WorkspaceCloning WorkspaceReadyEvent TaskStarted MessageTakenUp StepStarted TextDelta
        ToolStarted ToolOutput UsageRecorded ModelRetried ModelChanged ContextCompacted PlanUpdated
        QuestionAsked QuestionAnswered TaskPaused TaskResumed CheckRecorded TaskFinished TaskUndone
    """,
    _RecordedStep.add_event: """
        WorkspaceCloning WorkspaceReadyEvent TaskStarted MessageTakenUp StepStarted TextDelta
        ToolOutput ToolFinished FilesChanged PlanUpdated QuestionAsked QuestionAnswered TaskPaused
        TaskResumed CheckRecorded TaskFinished TaskUndone
    """,
    comparable: """
        WorkspaceCloning WorkspaceReadyEvent TaskStarted MessageTakenUp StepStarted TextDelta
        ReasoningWritten MessageWritten ToolStarted ToolOutput ToolFinished UsageRecorded
        ModelRetried ModelChanged TaskUndone
    """,
    Replay._print_event: """
        WorkspaceCloning WorkspaceReadyEvent TaskStarted TextDelta ReasoningWritten ToolStarted
        ToolOutput UsageRecorded FilesChanged ModelRetried ModelChanged ContextCompacted PlanUpdated
        QuestionAsked QuestionAnswered TaskPaused TaskResumed CheckRecorded TaskFinished TaskUndone
    """,
}
DURABLE = """
    WorkspaceReadyEvent TaskStarted MessageTakenUp MessageWritten ToolFinished QuestionAsked
    QuestionAnswered TaskPaused TaskResumed TaskFinished TaskUndone
"""
NOT_DURABLE = """
    WorkspaceCloning StepStarted TextDelta ReasoningWritten ToolStarted ToolOutput UsageRecorded
    FilesChanged ModelRetried ModelChanged ContextCompacted PlanUpdated CheckRecorded
"""
ALL = {event.__name__ for event in KNOWN_EVENTS}


def names_in_cases(reader: Callable[..., object]) -> set[str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(reader)))
    patterns = [node.cls for node in ast.walk(tree) if isinstance(node, ast.MatchClass)]
    return {pattern.id for pattern in patterns if isinstance(pattern, ast.Name)}


@pytest.mark.parametrize("reader", NAMED, ids=lambda reader: reader.__qualname__)
def test_every_event_is_named_or_takes_the_default_by_decision(
    reader: Callable[..., object],
) -> None:
    assert names_in_cases(reader) == set(NAMED[reader].split())
    assert sorted((NAMED[reader] + BY_DEFAULT[reader]).split()) == sorted(ALL)


def test_every_event_is_durable_or_not_by_decision() -> None:
    assert {event.__name__ for event in event_log._DURABLE} == set(DURABLE.split())
    assert sorted((DURABLE + NOT_DURABLE).split()) == sorted(ALL)
