"""Makes log and conversation whole again after the process died in the middle of a task."""

import time

from bridge.conversation import Conversation
from bridge.events import EventLog
from bridge.ledger import Ledger
from bridge.prompts import LOST_RESULT
from bridge.protocol import ErrorCode, Outcome, TaskFinished, ToolFinished, WireError


async def recover(ledger: Ledger, events: EventLog, conversation: Conversation) -> None:
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


def _settle_taken(ledger: Ledger, conversation: Conversation) -> None:
    """A message that the log calls started or taken up waits no longer."""
    for message in tuple(conversation.waiting):
        if message.task_id in ledger.first_seq or message.id in ledger.taken_messages:
            conversation.take(message)


async def _close_tool(ledger: Ledger, events: EventLog) -> None:
    tool = ledger.open_tool
    if tool is not None:
        await events.record(
            ToolFinished(
                task_id=tool.task_id,
                call_id=tool.call_id,
                tool=tool.tool,
                target=tool.target,
                ok=False,
                summary="interrupted by a restart, outcome unknown",
                duration_seconds=max(time.time() - tool.at, 0.0),
                result=LOST_RESULT,
            )
        )
