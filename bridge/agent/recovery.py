"""Makes log and conversation whole again after the process died in the middle of a task.

A task that waited for a person is whole: it goes on waiting.
"""

import time

from bridge.agent.prompts import INTERRUPTED_RESULT, LOST_RESULT
from bridge.protocol import (
    ErrorCode,
    Outcome,
    QuestionKind,
    TaskFinished,
    ToolFinished,
    WireError,
)
from bridge.state.conversation import Conversation, UserMessage, open_calls
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection


async def recover(ledger: Projection, events: EventLog, conversation: Conversation) -> None:
    """Close what the last process left open; does nothing after a clean end."""
    _settle_taken(ledger, conversation)
    conversation.answer_open_calls(LOST_RESULT)
    if ledger.open_tool is not None:
        await _close_tool(ledger, events)
    if ledger.running is not None:
        error = WireError(
            code=ErrorCode.INTERNAL,
            message="The bridge restarted while this task was at work. Reply to go on.",
        )
        await events.record(
            TaskFinished(
                task_id=ledger.running.task_id,
                outcome=Outcome.FAILED,
                steps=ledger.step,
                duration_seconds=max(time.time() - ledger.running.at, 0.0),
                error=error,
            )
        )
    await conversation.sync()


async def close_tool(ledger: Projection, events: EventLog) -> None:
    """End a call that a person's interruption left open."""
    await _end_tool(ledger, events, "interrupted", INTERRUPTED_RESULT)


def waiting(ledger: Projection, conversation: Conversation) -> UserMessage | None:
    """The message of the task that goes on, or on waiting, if there is one."""
    running, question = ledger.running, ledger.question
    if running is None or not (ledger.waits or _is_harmless(ledger)):
        return None
    if question is not None and question.call_id not in open_calls(conversation.messages)[1]:
        return None
    return conversation.find(task_id=str(running.task_id))


def _is_harmless(ledger: Projection) -> bool:
    """Whether the answer was being taken in: an approved command may have begun by then."""
    return ledger.question is not None and ledger.question.kind is QuestionKind.QUESTION


def _settle_taken(ledger: Projection, conversation: Conversation) -> None:
    """A message that the log calls started or taken up waits no longer."""
    for message in tuple(conversation.waiting):
        if message.task_id in ledger.first_seq or message.id in ledger.taken_messages:
            conversation.take(message)


async def _close_tool(ledger: Projection, events: EventLog) -> None:
    await _end_tool(ledger, events, "interrupted by a restart, outcome unknown", LOST_RESULT)


async def _end_tool(ledger: Projection, events: EventLog, summary: str, result: str) -> None:
    tool = ledger.open_tool
    if tool is not None:
        await events.record(
            ToolFinished(
                task_id=tool.task_id,
                call_id=tool.call_id,
                tool=tool.tool,
                target=tool.target,
                ok=False,
                summary=summary,
                duration_seconds=max(time.time() - tool.at, 0.0),
                result=result,
            )
        )
