"""Serves the runner's end of its connection to the bridge: performs what comes in."""

import asyncio
import logging
import socket

from bridge.errors import BridgeError, ToolError
from bridge.runner.framing import BadFrameError, Head, framed, read_frame
from bridge.runner.operations import OPERATIONS, LocalRunner
from bridge.text import clean

_log = logging.getLogger(__name__)


async def serve(connection: socket.socket, runner: LocalRunner) -> None:
    """Performs what comes in over the connection until it ends; then ends what is under way."""
    connection.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    server = RunnerServer(runner, writer)
    try:
        async with asyncio.TaskGroup() as group:
            while (frame := await read_frame(reader)) is not None:
                server.take_frame(*frame, group)
            server.cancel_all()
    except* (BadFrameError, ConnectionError) as problems:
        _log.warning("the connection to the bridge broke: %s", problems.exceptions[0])
    finally:
        writer.close()
        await runner.processes.close()


class RunnerServer:
    """Performs operations, and holds those under way by the number that the bridge gave them."""

    def __init__(self, runner: LocalRunner, writer: asyncio.StreamWriter) -> None:
        self._runner = runner
        self._writer = writer
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def take_frame(self, head: Head, data: bytes, group: asyncio.TaskGroup) -> None:
        """Begins the operation that a frame asks for, or cancels one."""
        number = int(head["number"])
        if head.get("cancel"):
            if task := self._tasks.get(number):
                # Behind its first step: a task that is cancelled before it begins answers nothing.
                asyncio.get_running_loop().call_soon(task.cancel)
            return
        self._tasks[number] = group.create_task(self._answer(number, head, data))

    def cancel_all(self) -> None:
        """Cancels every operation under way."""
        for task in self._tasks.values():
            task.cancel()

    async def _answer(self, number: int, head: Head, data: bytes) -> None:
        def output(text: str) -> None:
            self._writer.write(framed({"number": number, "output": clean(text)}))

        try:
            operation = OPERATIONS[head["operation"]]
            answer = await self._runner.perform(operation.read_call(head["request"], data), output)
            done, answer_data = operation.dump_answer(answer)
            frame = framed({"number": number, "done": done}, answer_data)
        except asyncio.CancelledError:
            frame = framed({"number": number, "cancelled": True})
        except ToolError as error:
            frame = framed({"number": number, "tool_error": clean(str(error))})
        except BridgeError as error:
            refusal = {"code": error.code, "message": clean(error.message)}
            frame = framed({"number": number, "workspace_error": refusal})
        except Exception:  # noqa: BLE001  (boundary: a fault in one never ends the others)
            _log.exception("an operation failed inside")
            frame = framed({"number": number, "failed": True})
        finally:
            self._tasks.pop(number, None)
        self._writer.write(frame)
        await self._writer.drain()
