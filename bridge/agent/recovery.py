"""Repairs log and conversation after the process died in the middle of a task.

A task that waited for a person needs no repair: it goes on waiting.
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


async def recover_state(
    projection: Projection, events: EventLog, conversation: Conversation
) -> None:
    """Ends what the last process left open; does nothing after a clean end."""
    _take_recorded_messages(projection, conversation)
    conversation.answer_open_calls(LOST_RESULT)
    if projection.open_tool is not None:
        await _end_lost_tool(projection, events)
    if projection.running is not None:
        error = WireError(
            code=ErrorCode.INTERNAL,
            message="The bridge restarted while this task was at work. Reply to go on.",
        )
        await events.record(
            TaskFinished(
                task_id=projection.running.task_id,
                outcome=Outcome.FAILED,
                steps=projection.step,
                duration_seconds=max(time.time() - projection.running.at, 0.0),
                error=error,
            )
        )
    await conversation.sync()


async def end_interrupted_tool(projection: Projection, events: EventLog) -> None:
    """Ends a call that a person's interruption left open."""
    await _end_tool(projection, events, "interrupted", INTERRUPTED_RESULT)


def resumed_message(projection: Projection, conversation: Conversation) -> UserMessage | None:
    """Returns the message of the task that works or waits on after a restart, if there is one."""
    running, question = projection.running, projection.question
    if running is None or not (projection.waits or _can_repeat_call(projection)):
        return None
    if question is not None and question.call_id not in open_calls(conversation.messages)[1]:
        return None
    return conversation.find_message(task_id=str(running.task_id))


def _can_repeat_call(projection: Projection) -> bool:
    """Checks that the open call only asked a person: an approved command may have begun."""
    return projection.question is not None and projection.question.kind is QuestionKind.QUESTION


def _take_recorded_messages(projection: Projection, conversation: Conversation) -> None:
    """Takes the messages out of the queue that the log calls started or taken up."""
    for message in tuple(conversation.waiting):
        if message.task_id in projection.first_seq or message.id in projection.taken_messages:
            conversation.take_message(message)


async def _end_lost_tool(projection: Projection, events: EventLog) -> None:
    await _end_tool(projection, events, "interrupted by a restart, outcome unknown", LOST_RESULT)


async def _end_tool(projection: Projection, events: EventLog, summary: str, result: str) -> None:
    tool = projection.open_tool
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
