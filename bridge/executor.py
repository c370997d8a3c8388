"""The loop: ask the model, run the tools it calls, ask again, until it is done."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from bridge.conversation import Conversation
from bridge.errors import BridgeError
from bridge.events import EventLog
from bridge.model_calls import ModelCalls
from bridge.prompts import CUT_OFF_NOTE, LAST_STEP_NOTE, says_unfinished
from bridge.protocol import (
    MAX_MESSAGE_CHARS,
    FileChange,
    FilesChanged,
    MessageWritten,
    Outcome,
    ReasoningWritten,
    StepStarted,
    UsageRecorded,
)
from bridge.tool_calls import ToolCalls
from bridge.tools.base import ToolContext, ToolResult
from bridge.turns import ModelTurn

_log = logging.getLogger(__name__)

Changes = Callable[[], Awaitable[tuple[FileChange, ...]]]


@dataclass(frozen=True, slots=True)
class Task:
    """One request to the agent, as the loop needs it.

    `take_up` moves the messages that steer this task into the conversation, and says whether
    there were any. `changes` is the workspace against the source branch.
    """

    id: str
    model: str
    max_steps: int
    take_up: Callable[[], Awaitable[bool]]
    changes: Changes
    context: ToolContext


class Executor:
    """Runs tasks, one at a time, on one conversation. It writes events and reads no client."""

    def __init__(
        self,
        conversation: Conversation,
        events: EventLog,
        model_calls: ModelCalls,
        tool_calls: ToolCalls,
    ) -> None:
        self._conversation = conversation
        self._events = events
        self._model_calls = model_calls
        self._tool_calls = tool_calls
        self._shown: tuple[FileChange, ...] = ()

    async def run(self, task: Task) -> Outcome:
        """Work until the model is done or the steps are used up.

        Raises ModelError when the model fails for good; when cancelled, the conversation may
        hold calls without results.
        """
        earlier = ""  # the text of an answer that the output limit cut
        for step in range(1, task.max_steps + 1):
            is_last = step == task.max_steps
            await task.take_up()
            if is_last:
                self._note(LAST_STEP_NOTE)
            await self._conversation.sync()
            await self._record_step(task, step)
            turn = await self._ask(task)
            if turn.tool_calls:
                await self._write(task, earlier + turn.text, final=False)
                earlier = ""
                await self._run_tools(task, turn)
            elif turn.cut_off and not earlier and not is_last:
                earlier = turn.text
                self._note(CUT_OFF_NOTE)
            else:
                await self._write(task, earlier + turn.text, final=True)
                earlier = ""
                if is_last:
                    return Outcome.STEP_LIMIT if says_unfinished(turn.text) else Outcome.COMPLETED
                if not self._conversation.steering():
                    return Outcome.COMPLETED
        return Outcome.STEP_LIMIT

    async def _record_step(self, task: Task, step: int) -> None:
        event = StepStarted(task_id=task.id, step=step, max_steps=task.max_steps)
        await self._events.record(event)

    async def _ask(self, task: Task) -> ModelTurn:
        turn = await self._model_calls.complete(task.id, task.model, self._tool_calls.schemas)
        usage = turn.usage
        await self._events.record(
            UsageRecorded(
                task_id=task.id,
                model=turn.model or task.model,
                provider=turn.provider,
                generation_id=turn.generation_id,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                cost_usd=usage.cost_usd,
            )
        )
        if turn.reasoning.strip():
            text = turn.reasoning[:MAX_MESSAGE_CHARS]
            await self._events.record(ReasoningWritten(task_id=task.id, text=text))
        return turn

    async def _write(self, task: Task, text: str, *, final: bool) -> None:
        if text.strip():
            cut = text[:MAX_MESSAGE_CHARS]
            await self._events.record(MessageWritten(task_id=task.id, text=cut, final=final))

    async def _run_tools(self, task: Task, turn: ModelTurn) -> None:
        results: list[ToolResult] = []
        for call in turn.tool_calls:
            result = await self._tool_calls.run(task.id, call, task.context)
            results.append(result)
            self._conversation.append(
                {"role": "tool", "tool_call_id": call.id, "content": result.text}
            )
        if any(result.files_touched or result.exit_code is not None for result in results):
            await self._show_changes(task)

    async def _show_changes(self, task: Task) -> None:
        try:
            files = (await task.changes())[:5_000]
        except BridgeError as error:  # the model may have broken its own checkout; it will notice
            _log.warning("the changes could not be read: %s", error.message)
            return
        if files != self._shown:
            self._shown = files
            await self._events.record(FilesChanged(task_id=task.id, files=files))

    def _note(self, text: str) -> None:
        self._conversation.append({"role": "user", "content": text})
