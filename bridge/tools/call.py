"""Runs one tool call of the model and records it; whatever happens is a result."""

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from bridge.errors import ToolError
from bridge.model.response import ToolCall
from bridge.protocol import (
    MAX_PATH_CHARS,
    MAX_RESULT_CHARS,
    MAX_SAVED_RESULT_CHARS,
    PlanUpdated,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from bridge.state.event_log import EventLog
from bridge.text import clean, cut_middle
from bridge.tools.base import PersonNeeded, Tool, ToolContext, ToolResult

_log = logging.getLogger(__name__)
_TORN = (
    "The output limit cut this call off, so nothing of it was run. Send it again, in smaller parts."
)
_INTERRUPTED = ToolResult("The call was interrupted.", "interrupted", ok=False)
_OUTPUT_CHARS = 4_096  # one fragment of running output
_TARGET_CHARS = 300


class ToolCalls:
    """Runs the tools, each by its name, and records every call in the event log."""

    def __init__(self, tools: Iterable[Tool[Any]], events: EventLog) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._events = events

    @cached_property
    def schemas(self) -> tuple[dict[str, Any], ...]:
        """Returns the tools as the API wants them; made on first use, after the first answer."""
        return tuple(tool.schema() for tool in self._tools.values())

    async def run(
        self, task_id: str, call: ToolCall, context: ToolContext, *, begun: bool = False
    ) -> ToolResult:
        """Runs the call and returns its result, the text whole within reason.

        A ToolError, an unknown tool and wrong arguments are results too. Cancelling kills the
        tool; the log then says that the call was interrupted. PersonNeeded leaves the call open:
        it is run again with the answer, and is `begun` then.
        """
        began_at = time.monotonic()
        started = ToolStarted(
            task_id=task_id,
            call_id=call.id,
            tool=clean(call.name)[:64],
            target=self._target(call),
            arguments=cut_middle(call.arguments, MAX_RESULT_CHARS),
        )
        if not begun:
            await self._events.record(started)
        context = dataclasses.replace(context, on_output=self._show_output(started))
        try:
            result = await self._run(call, context)
        except PersonNeeded:
            raise
        except BaseException:
            await self._record_end(started, _INTERRUPTED, began_at)
            raise
        await self._record_end(started, result, began_at)
        if result.plan is not None:
            await self._events.record(PlanUpdated(task_id=task_id, items=result.plan))
        text = cut_middle(clean(result.text), MAX_SAVED_RESULT_CHARS)
        return dataclasses.replace(result, text=text or "(no output)")

    def _show_output(self, started: ToolStarted) -> Callable[[str], None]:
        def show(text: str) -> None:
            shown = clean(text[-_OUTPUT_CHARS:])
            output = ToolOutput(task_id=started.task_id, call_id=started.call_id, text=shown)
            self._events.broadcast(output)

        return show

    async def _record_end(self, started: ToolStarted, result: ToolResult, began_at: float) -> None:
        finished = ToolFinished(
            task_id=started.task_id,
            call_id=started.call_id,
            tool=started.tool,
            target=started.target,
            ok=result.ok,
            summary=clean(result.summary)[:_TARGET_CHARS],
            exit_code=result.exit_code,
            duration_seconds=round(time.monotonic() - began_at, 4),
            result=cut_middle(clean(result.text), MAX_RESULT_CHARS),
            files_touched=tuple(
                clean(path)[:MAX_PATH_CHARS] for path in result.files_touched[:1_000]
            ),
        )
        await self._events.record(finished)

    async def _run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        if call.torn:
            return ToolResult(_TORN, "cut off by the output limit", ok=False)
        tool = self._tools.get(call.name)
        if tool is None:
            text = f"There is no tool {call.name[:64]!r}. The tools are: {', '.join(self._tools)}."
            return ToolResult(text, "no such tool", ok=False)
        try:
            arguments = tool.parse(call.arguments)
            if tool.asks is not None:
                permitted = tool.asks(context, arguments)
                context = dataclasses.replace(context, permitted=permitted)
            return await tool.run(context, arguments)
        except ToolError as error:
            return ToolResult(str(error), _first_line(str(error)), ok=False)
        except PersonNeeded:
            raise
        except Exception:  # noqa: BLE001  (boundary: a fault inside one tool never ends the task)
            _log.exception("tool %s failed inside", call.name[:64])
            text = "The tool failed for a reason of its own. Try it in another way."
            return ToolResult(text, "failed inside", ok=False)

    def _target(self, call: ToolCall) -> str:
        tool = self._tools.get(call.name)
        if tool is None:
            return ""
        try:
            return clean(tool.target(tool.parse(call.arguments)))[:_TARGET_CHARS]
        except ToolError:
            return ""


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), "")[:200]
