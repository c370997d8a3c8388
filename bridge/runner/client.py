"""The bridge's end of its runner: errands go over a connection, and what comes back is not trusted.

Hostile code can be of the runner's user, so it can end, stop and imitate the runner. Then the
errands under way fail, and the launcher gives the bridge another one.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from bridge.errors import ToolError, WorkspaceError
from bridge.protocol import RUNNER_SECONDS, TOOL_DEATH_SECONDS, ErrorCode
from bridge.runner.framing import BadFrameError, Head, framed, read_frame
from bridge.runner.operations import CallTool, Done, Operation, hear_nothing

_log = logging.getLogger(__name__)
_CANCEL_SECONDS = 3.0
_RESET_SECONDS = TOOL_DEATH_SECONDS - _CANCEL_SECONDS
_OUTPUT_CHARS = 600_000  # of one errand; more is of no runner of ours
_GONE = (
    "The process that runs the tools ended while this was at work; what it had done is there. "
    "Look at the workspace before you go on."
)


class _Refusal(BaseModel):
    code: ErrorCode
    message: str


class _Gone(Exception):
    """The runner did not finish the errand."""


@dataclass(frozen=True, slots=True)
class _Call:
    errand: Operation
    on_output: Callable[[str], None]
    over: asyncio.Future[Done]
    chars: list[int]


class RunnerClient:
    """Implements Runner over connections that the launcher hands over, one after the other."""

    def __init__(self, launcher: socket.socket) -> None:
        launcher.setblocking(False)
        self._launcher = launcher
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._calls: dict[int, _Call] = {}
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """Keep a connection to a runner, until cancelled."""
        while (connection := await self._next_connection()) is not None:
            reader, writer = await asyncio.open_unix_connection(sock=connection)
            self._writer = writer
            self._connected.set()
            try:
                while (frame := await read_frame(reader)) is not None:
                    self._take(*frame)
            except (BadFrameError, KeyError, TypeError, ValueError) as error:
                _log.warning("the runner said what no runner says: %s", error)
                self._ask_for_another()
            finally:
                self._connected.clear()
                self._writer = None
                writer.close()
                self._fail_all()

    async def perform(
        self,
        errand: Operation,
        data: bytes = b"",
        on_output: Callable[[str], None] = hear_nothing,
    ) -> Done:
        """Have it done. Raises ToolError or WorkspaceError, also when the runner ends over it."""
        try:
            async with asyncio.timeout(RUNNER_SECONDS):
                await self._connected.wait()
            with self._call(errand, data, on_output) as (number, call):
                return await self._finished(number, call)
        except (TimeoutError, _Gone) as error:
            if isinstance(errand, CallTool):
                raise ToolError(_GONE) from error
            raise WorkspaceError(ErrorCode.INTERNAL, _GONE) from error

    @contextmanager
    def _call(
        self, errand: Operation, data: bytes, on_output: Callable[[str], None]
    ) -> Iterator[tuple[int, _Call]]:
        number = next(self._numbers)
        over = asyncio.get_running_loop().create_future()
        self._calls[number] = call = _Call(errand, on_output, over, [0])
        try:
            self._send({"number": number, "errand": errand.model_dump(mode="json")}, data)
            yield number, call
        finally:
            del self._calls[number]

    async def _finished(self, number: int, call: _Call) -> Done:
        try:
            async with asyncio.timeout(call.errand.seconds):
                return await asyncio.shield(call.over)
        except TimeoutError:
            _log.warning("the runner is given up: it took too long over an errand")
            self._ask_for_another()
            raise
        except asyncio.CancelledError:
            await self._cancelled(number, call)
            raise

    async def _cancelled(self, number: int, call: _Call) -> None:
        """Return when nothing of the errand runs any more."""
        self._send({"number": number, "cancel": True})
        done, _ = await asyncio.wait((call.over,), timeout=_CANCEL_SECONDS)
        if not done:
            _log.warning("the runner is given up: it did not end an errand")
            self._ask_for_another()
            # It is dead when its connection is.
            await asyncio.wait((call.over,), timeout=_RESET_SECONDS)
        if call.over.done():
            call.over.exception()  # nobody waits for it any more

    def _send(self, head: Head, data: bytes = b"") -> None:
        if self._writer is not None:
            self._writer.write(framed(head, data))

    def _take(self, head: Head, data: bytes) -> None:
        call = self._calls.get(head["number"])
        if call is None or call.over.done():
            return
        if "output" in head:
            text = str(head["output"])
            call.chars[0] += len(text)
            if call.chars[0] <= _OUTPUT_CHARS:
                call.on_output(text)
            return
        try:
            call.over.set_result(_result(call.errand, head, data))
        except (ToolError, WorkspaceError, _Gone) as error:
            call.over.set_exception(error)

    def _fail_all(self) -> None:
        for call in self._calls.values():
            if not call.over.done():
                call.over.set_exception(_Gone())

    def _ask_for_another(self) -> None:
        self._connected.clear()
        if self._writer is not None:
            self._writer.close()
        with suppress(OSError):
            self._launcher.send(b"another")

    async def _next_connection(self) -> socket.socket | None:
        """What the launcher hands over next; None when there is no launcher any more."""
        while True:
            await _readable(self._launcher)
            try:
                said, descriptors, _, _ = socket.recv_fds(self._launcher, 16, 1)
            except BlockingIOError:
                continue
            except OSError:
                return None
            if descriptors:
                connection = socket.socket(fileno=descriptors[0])
                connection.setblocking(False)
                return connection
            if not said:
                return None


def _result(errand: Operation, head: Head, data: bytes) -> Done:
    if "done" in head:
        return Done(_value(errand, head["done"]), data)
    if "tool_error" in head and isinstance(errand, CallTool):
        raise ToolError(str(head["tool_error"]))
    if "workspace_error" in head:
        refusal = _Refusal.model_validate(head["workspace_error"])
        raise WorkspaceError(refusal.code, refusal.message[:2_000])
    if "failed" in head:
        message = "The runner failed inside."
        if isinstance(errand, CallTool):
            raise ToolError("The tool failed for a reason of its own. Try it in another way.")
        raise WorkspaceError(ErrorCode.INTERNAL, message)
    if "cancelled" in head:
        raise _Gone
    raise BadFrameError("an answer of no kind")


def _value(errand: Operation, said: Any) -> Any:  # noqa: ANN401  (of the shape the errand names)
    try:
        return errand.answer.validate_python(said)
    except ValidationError as error:
        raise BadFrameError("an answer has another shape") from error


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
