"""Holds the bridge's end of the connection to its runner, and trusts nothing that comes back.

Hostile code can be of the runner's user, so it can end, stop and imitate the runner. Then the
operations under way fail, and the launcher gives the bridge another runner.
"""

import asyncio
import dataclasses
import itertools
import json
import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from bridge.errors import ToolError, WorkspaceError
from bridge.protocol import RUNNER_SECONDS, TOOL_DEATH_SECONDS, ErrorCode
from bridge.runner.framing import BadFrameError, Head, framed, read_frame
from bridge.runner.operations import Call, R, Runner, ToolRequest, call_tool, ignore_output
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult

_log = logging.getLogger(__name__)
_CANCEL_SECONDS = 3.0
_RESET_SECONDS = TOOL_DEATH_SECONDS - _CANCEL_SECONDS
_OUTPUT_CHARS = 600_000  # of one operation; more is of no runner of ours
_GONE = (
    "The process that runs the tools ended while this was at work; what it had done is there. "
    "Look at the workspace before you go on."
)


class _Refusal(BaseModel):
    code: ErrorCode
    message: str


class _Gone(Exception):
    """The runner did not finish the operation."""


@dataclasses.dataclass(slots=True)
class _PendingCall:
    call: Call[object]
    on_output: Callable[[str], None]
    answer: asyncio.Future[Any]  # of the type that the operation reads
    output_chars: int = 0


class RunnerClient:
    """Implements Runner over connections that the launcher hands over, one after the other."""

    def __init__(self, launcher: socket.socket) -> None:
        launcher.setblocking(False)
        self._launcher = launcher
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._pending: dict[int, _PendingCall] = {}
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """Holds a connection to a runner, until cancelled."""
        while (connection := await self._next_connection()) is not None:
            reader, writer = await asyncio.open_unix_connection(sock=connection)
            self._writer = writer
            self._connected.set()
            try:
                while (frame := await read_frame(reader)) is not None:
                    self._take_frame(*frame)
            except (BadFrameError, KeyError, TypeError, ValueError) as error:
                _log.warning("the runner sent what no runner sends: %s", error)
                self._ask_for_another()
            finally:
                self._connected.clear()
                self._writer = None
                writer.close()
                self._fail_all()

    async def perform(self, call: Call[R], on_output: Callable[[str], None] = ignore_output) -> R:
        """Has it performed. Raises ToolError or WorkspaceError, also when the runner ends."""
        try:
            async with asyncio.timeout(RUNNER_SECONDS):
                await self._connected.wait()
            with self._send_call(call, on_output) as (number, pending):
                await self._wait_for_answer(number, pending)
            answer: R = pending.answer.result()
            return answer
        except (TimeoutError, _Gone) as error:
            if call.operation.is_tool:
                raise ToolError(_GONE) from error
            raise WorkspaceError(ErrorCode.INTERNAL, _GONE) from error

    @contextmanager
    def _send_call(
        self, call: Call[object], on_output: Callable[[str], None]
    ) -> Iterator[tuple[int, _PendingCall]]:
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._pending[number] = pending = _PendingCall(call, on_output, answer)
        request = call.request.model_dump(mode="json")
        head = {"number": number, "operation": call.operation.name, "request": request}
        try:
            self._send(head, call.data)
            yield number, pending
        finally:
            del self._pending[number]

    async def _wait_for_answer(self, number: int, pending: _PendingCall) -> None:
        try:
            async with asyncio.timeout(pending.call.operation.seconds):
                await asyncio.shield(pending.answer)
        except TimeoutError:
            _log.warning("the runner is given up: it took too long over an operation")
            self._ask_for_another()
            raise
        except asyncio.CancelledError:
            await self._cancel(number, pending)
            raise

    async def _cancel(self, number: int, pending: _PendingCall) -> None:
        """Returns when nothing of the operation runs any more."""
        self._send({"number": number, "cancel": True})
        done, _ = await asyncio.wait((pending.answer,), timeout=_CANCEL_SECONDS)
        if not done:
            _log.warning("the runner is given up: it did not end an operation")
            self._ask_for_another()
            # It is dead when its connection is.
            await asyncio.wait((pending.answer,), timeout=_RESET_SECONDS)
        if pending.answer.done():
            pending.answer.exception()  # nobody waits for it any more

    def _send(self, head: Head, data: bytes = b"") -> None:
        if self._writer is not None:
            self._writer.write(framed(head, data))

    def _take_frame(self, head: Head, data: bytes) -> None:
        pending = self._pending.get(head["number"])
        if pending is None or pending.answer.done():
            return
        if "output" in head:
            text = str(head["output"])
            pending.output_chars += len(text)
            if pending.output_chars <= _OUTPUT_CHARS:
                pending.on_output(text)
            return
        try:
            pending.answer.set_result(_read_answer(pending.call, head, data))
        except (ToolError, WorkspaceError, _Gone) as error:
            pending.answer.set_exception(error)

    def _fail_all(self) -> None:
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(_Gone())

    def _ask_for_another(self) -> None:
        self._connected.clear()
        if self._writer is not None:
            self._writer.close()
        with suppress(OSError):
            self._launcher.send(b"another")

    async def _next_connection(self) -> socket.socket | None:
        """Returns the connection that the launcher sends next; None when the launcher is gone."""
        while True:
            await _readable(self._launcher)
            try:
                message, descriptors, _, _ = socket.recv_fds(self._launcher, 16, 1)
            except BlockingIOError:
                continue
            except OSError:
                return None
            if descriptors:
                connection = socket.socket(fileno=descriptors[0])
                connection.setblocking(False)
                return connection
            if not message:
                return None


def run_in_runner(runner: Runner, tools: Iterable[Tool[Any]]) -> tuple[Tool[Any], ...]:
    """Returns the same tools for the model, but run by the runner."""
    return tuple(_run_in_runner(runner, tool) for tool in tools)


def _run_in_runner(runner: Runner, tool: Tool[Any]) -> Tool[Any]:
    async def run(context: ToolContext, arguments: Arguments) -> ToolResult:
        request = ToolRequest(
            name=tool.name,
            # Not as pydantic writes it: what a model says may hold halves of characters.
            arguments=json.dumps(arguments.model_dump()),
            base_commit=context.base_commit,
            command_timeout_seconds=context.command_timeout_seconds,
            command_allow=tuple(sorted(context.command_allow)),
            variables=dict(context.variables),
            permitted=context.permitted,
        )
        return await runner.perform(call_tool.call(request), context.on_output)

    return tool if tool.here else dataclasses.replace(tool, run=run)


def _read_answer(call: Call[object], head: Head, data: bytes) -> object:
    is_tool = call.operation.is_tool
    if "done" in head:
        try:
            return call.operation.read_answer(head["done"], data)
        except ValidationError as error:
            raise BadFrameError("an answer has another shape") from error
    if "tool_error" in head and is_tool:
        raise ToolError(str(head["tool_error"]))
    if "workspace_error" in head:
        refusal = _Refusal.model_validate(head["workspace_error"])
        raise WorkspaceError(refusal.code, refusal.message[:2_000])
    if "failed" in head:
        if is_tool:
            raise ToolError("The tool failed for a reason of its own. Try it in another way.")
        raise WorkspaceError(ErrorCode.INTERNAL, "The runner failed inside.")
    if "cancelled" in head:
        raise _Gone
    raise BadFrameError("an answer of no kind")


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection, tell)
    try:
        await ready
    finally:
        loop.remove_reader(connection)
