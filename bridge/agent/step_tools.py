"""The tool calls of one step: their results for the model, what they changed, whom they ask."""

import dataclasses
import logging
import uuid
from collections.abc import Sequence

from bridge.agent.compaction import Compaction
from bridge.agent.task import Task
from bridge.errors import BridgeError
from bridge.model.response import ToolCall
from bridge.protocol import FileChange, FilesChanged, QuestionAsked
from bridge.state.conversation import Conversation, calls_of, open_calls
from bridge.state.event_log import EventLog
from bridge.tools.base import PersonNeeded, ToolResult
from bridge.tools.call import ToolCalls
from bridge.tools.results import KeptResults

_log = logging.getLogger(__name__)
_LEAST_RESULT_CHARS = 600


class StepTools:
    """Runs calls one after the other. PersonNeeded comes through, once the question is recorded:
    the calls from there on are left open."""

    def __init__(
        self,
        conversation: Conversation,
        events: EventLog,
        tool_calls: ToolCalls,
        memory: Compaction,
        results: KeptResults,
    ) -> None:
        self._conversation = conversation
        self._events = events
        self._tool_calls = tool_calls
        self._memory = memory
        self._results = results
        self._shown: tuple[FileChange, ...] = ()

    async def finish(self, task: Task, model: str, step: int) -> None:
        """Run the rest of a step that had to wait for a person; the first call has begun."""
        position, missing = open_calls(self._conversation.messages)
        if missing:
            calls = calls_of(self._conversation.messages[position], missing)
            await self.run(task, model, step, calls, began=missing[0])

    async def run(
        self, task: Task, model: str, step: int, calls: Sequence[ToolCall], *, began: str = ""
    ) -> list[ToolResult]:
        """The results, which are in the conversation then; `began` is told of as started."""
        limits = await self._memory.limits(model)
        room = limits.step_chars
        results: list[ToolResult] = []
        try:
            for call in calls:
                result = await self._run(task, step, call, began=call.id == began)
                results.append(result)
                limit = max(min(limits.result_chars, room), _LEAST_RESULT_CHARS)
                text = self._results.shortened(call.id, result.text, limit)
                room -= len(text)
                said = {"role": "tool", "tool_call_id": call.id, "content": text}
                self._conversation.append(said)
                if result.check is not None:
                    await task.checked(result.check)
        except PersonNeeded:
            await self._show_changes(task, results)
            raise
        await self._show_changes(task, results)
        return results

    async def _run(self, task: Task, step: int, call: ToolCall, *, began: bool) -> ToolResult:
        context = task.context
        if not began:
            context = dataclasses.replace(context, answer=None)  # it is for that call alone
        try:
            return await self._tool_calls.run(task.id, call, context, began=began)
        except PersonNeeded as needed:
            await self._conversation.sync()  # the call has to be there when the question is
            wish = needed.wish
            await self._events.record(
                QuestionAsked(
                    task_id=task.id,
                    question_id=uuid.uuid4().hex[:16],
                    call_id=call.id,
                    kind=wish.kind,
                    text=wish.text,
                    options=wish.options,
                    step=step,
                    fingerprint=wish.fingerprint,
                    working_directory=wish.working_directory,
                    reason=wish.reason,
                )
            )
            raise

    async def _show_changes(self, task: Task, results: Sequence[ToolResult]) -> None:
        if not any(result.files_touched or result.exit_code is not None for result in results):
            return
        try:
            files = (await task.changes())[:5_000]
        except BridgeError as error:  # the model may have broken its own checkout; it will notice
            _log.warning("the changes could not be read: %s", error.message)
            return
        if files != self._shown:
            self._shown = files
            await self._events.record(FilesChanged(task_id=task.id, files=files))
