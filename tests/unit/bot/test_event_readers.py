"""Which events each reader names, and which take its default. A new type of event fails here until
somebody has decided for every reader."""

from collections.abc import Callable

import pytest

from bot.agents.lifecycle import progress
from bot.agents.lifecycle.progress import Progress
from bot.domain.agent import Agent
from bot.domain.task_card import TaskCard
from bridge.protocol import KNOWN_EVENTS
from tests.unit.bridge.test_event_readers import names_in_cases

NAMED: dict[Callable[..., object], str] = {
    Agent._after: """
        WorkspaceReadyEvent TaskStarted StepStarted UsageRecorded TaskFinished QuestionAsked
        TaskPaused QuestionAnswered TaskResumed
    """,
    TaskCard._after: """
        TaskStarted StepStarted ToolStarted ToolFinished FilesChanged UsageRecorded ModelRetried
        ModelChanged ContextCompacted MessageWritten PlanUpdated QuestionAsked QuestionAnswered
        TaskPaused TaskResumed TaskFinished
    """,
    Progress._posts: "QuestionAsked QuestionAnswered TaskFinished ModelChanged",
}
BY_DEFAULT: dict[Callable[..., object], str] = {
    Agent._after: """
        WorkspaceCloning MessageTakenUp TextDelta ReasoningWritten MessageWritten ToolStarted
        ToolOutput ToolFinished FilesChanged ModelRetried ModelChanged ContextCompacted PlanUpdated
        CheckRecorded TaskUndone
    """,
    TaskCard._after: """
        WorkspaceCloning WorkspaceReadyEvent MessageTakenUp TextDelta ReasoningWritten ToolOutput
        CheckRecorded TaskUndone
    """,
    Progress._posts: """
        WorkspaceCloning WorkspaceReadyEvent TaskStarted MessageTakenUp StepStarted TextDelta
        ReasoningWritten MessageWritten ToolStarted ToolOutput ToolFinished UsageRecorded
        FilesChanged ModelRetried ContextCompacted PlanUpdated TaskPaused TaskResumed CheckRecorded
        TaskUndone
    """,
}
# Of those that take the default of `Progress._posts`: they change the card that is shown.
SHOWN = """
    TaskStarted StepStarted ToolStarted ToolFinished FilesChanged ModelRetried ModelChanged
    PlanUpdated TaskPaused TaskResumed
"""
NOT_SHOWN = """
    WorkspaceCloning WorkspaceReadyEvent MessageTakenUp TextDelta ReasoningWritten MessageWritten
    ToolOutput UsageRecorded ContextCompacted QuestionAsked QuestionAnswered CheckRecorded
    TaskFinished TaskUndone
"""
ALL = {event.__name__ for event in KNOWN_EVENTS}


@pytest.mark.parametrize("reader", NAMED, ids=lambda reader: reader.__qualname__)
def test_every_event_is_named_or_takes_the_default_by_decision(
    reader: Callable[..., object],
) -> None:
    assert names_in_cases(reader) == set(NAMED[reader].split())
    assert sorted((NAMED[reader] + BY_DEFAULT[reader]).split()) == sorted(ALL)


def test_every_event_is_shown_on_the_card_or_not_by_decision() -> None:
    assert {event.__name__ for event in progress._SHOWN} == set(SHOWN.split())
    assert sorted((SHOWN + NOT_SHOWN).split()) == sorted(ALL)
