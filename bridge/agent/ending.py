"""The end of a task: nothing left open, what was recorded about it, and the event that says so."""

import logging
from collections.abc import Awaitable, Callable

from bridge.agent.prompts import INTERRUPTED_RESULT
from bridge.agent.recovery import close_tool
from bridge.errors import BridgeError
from bridge.protocol import LAST_LOOK_SECONDS, Evidence, Outcome, TaskFinished, WireError
from bridge.state.conversation import Conversation, UserMessage
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection

_log = logging.getLogger(__name__)

# Of which task, and for how many seconds the files may be looked at.
AskEvidence = Callable[[str, float], Awaitable[Evidence]]
_LOOK_SECONDS = 60.0


class TaskEnding:
    """Ends tasks; `evidence` is asked once the task is over."""

    def __init__(
        self,
        conversation: Conversation,
        events: EventLog,
        ledger: Projection,
        evidence: AskEvidence,
    ) -> None:
        self._conversation = conversation
        self._events = events
        self._ledger = ledger
        self._evidence = evidence

    async def record(
        self,
        message: UserMessage,
        outcome: Outcome,
        error: WireError | None,
        duration_seconds: float,
        is_idle: Callable[[], None],
        *,
        at_once: bool = False,
    ) -> None:
        """Record the end, if the task had begun; `is_idle` is called right before that.

        `at_once`: the process ends, so that nothing is looked at any more.
        """
        # A person who interrupts waits for the end.
        hurries = outcome is Outcome.INTERRUPTED
        look_seconds = 0.0 if at_once else LAST_LOOK_SECONDS if hurries else _LOOK_SECONDS
        try:
            begun = message.task_id in self._ledger.first_seq
            if begun and message in self._conversation.waiting:
                self._conversation.take(message)
            self._conversation.answer_open_calls(INTERRUPTED_RESULT)
            await self._conversation.sync()
            if begun:
                await close_tool(self._ledger, self._events)
                evidence = await self._evidence(message.task_id, look_seconds)
                is_idle()  # who reads that it is over finds the session idle
                await self._events.record(
                    TaskFinished(
                        task_id=message.task_id,
                        outcome=outcome,
                        steps=self._ledger.step,
                        duration_seconds=round(duration_seconds, 3),
                        error=error,
                        evidence=evidence,
                    )
                )
            _log.info("task finished: %s", outcome)
        except BridgeError as failure:
            _log.error("the end of the task could not be recorded: %s", failure.message)
