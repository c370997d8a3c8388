"""The runner's process: does for the bridge what touches the workspace, as the tools' user.

It ends when the bridge's end of its connection does. Everything that it starts is of its user, and
so is nothing else: what an errand left behind is found by that.
"""

import asyncio
import ctypes
import logging
import socket
import sys
from pathlib import Path

from bridge.errors import BridgeError, ToolError
from bridge.model.response import clean
from bridge.process.logs import set_up_logs
from bridge.process.tree import own_the_user
from bridge.protocol import CheckRun
from bridge.runner.framing import BadFrameError, Head, framed, read_frame
from bridge.runner.local import LocalRunner
from bridge.runner.operations import OPERATION, Done, Operation
from bridge.tools.base import ToolResult
from bridge.workspace.filesystem import Workspace

_log = logging.getLogger("bridge.runner")
_HOME = Path("/tmp/threadsmith-home")  # noqa: S108  (in the container)
_PR_SET_DUMPABLE = 4
# Its children go first when memory runs out, then this process, and the bridge last.
_OOM_SCORE = "500"


def main() -> int:
    """Serve the connection that this descriptor is; usage: bridge.runner FD WORKSPACE USER."""
    set_up_logs(())
    own_the_user(int(sys.argv[3]))
    Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)  # not its own any more once it hides
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
    connection = socket.socket(fileno=int(sys.argv[1]))
    asyncio.run(serve(connection, LocalRunner(Workspace(Path(sys.argv[2])), _HOME)))
    return 0


async def serve(connection: socket.socket, runner: LocalRunner) -> None:
    """Do what comes in over the connection until it ends; then end what is under way."""
    connection.setblocking(False)
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    desk = _Desk(runner, writer)
    try:
        async with asyncio.TaskGroup() as group:
            while (frame := await read_frame(reader)) is not None:
                desk.take(frame, group)
            desk.cancel_all()
    except* (BadFrameError, ConnectionError) as problems:
        _log.warning("the connection to the bridge broke: %s", problems.exceptions[0])
    finally:
        writer.close()
        await runner.processes.close()


class _Desk:
    """The errands under way, by the number that the bridge gave them."""

    def __init__(self, runner: LocalRunner, writer: asyncio.StreamWriter) -> None:
        self._runner = runner
        self._writer = writer
        self._at_work: dict[int, asyncio.Task[None]] = {}

    def take(self, frame: tuple[Head, bytes], group: asyncio.TaskGroup) -> None:
        head, data = frame
        number = int(head["number"])
        if head.get("cancel"):
            if task := self._at_work.get(number):
                task.cancel()
            return
        self._at_work[number] = group.create_task(self._work(number, head["errand"], data))

    def cancel_all(self) -> None:
        for task in self._at_work.values():
            task.cancel()

    async def _work(self, number: int, asked: object, data: bytes) -> None:
        def output(text: str) -> None:
            self._writer.write(framed({"number": number, "output": clean(text)}))

        try:
            errand = OPERATION.validate_python(asked)
            done = await self._runner.perform(errand, data, output)
            answer = framed({"number": number, "done": _as_json(errand, done)}, done.data)
        except asyncio.CancelledError:
            answer = framed({"number": number, "cancelled": True})
        except ToolError as error:
            answer = framed({"number": number, "tool_error": clean(str(error))})
        except BridgeError as error:
            said = {"code": error.code, "message": clean(error.message)}
            answer = framed({"number": number, "workspace_error": said})
        except Exception:  # noqa: BLE001  (boundary: a fault in one errand never ends the others)
            _log.exception("an errand failed inside")
            answer = framed({"number": number, "failed": True})
        finally:
            self._at_work.pop(number, None)
        self._writer.write(answer)
        await self._writer.drain()


def _as_json(errand: Operation, done: Done) -> object:
    if isinstance(done.value, ToolResult):
        return {
            "text": clean(done.value.text),
            "summary": clean(done.value.summary),
            "ok": done.value.ok,
            "exit_code": done.value.exit_code,
            "files_touched": [clean(path) for path in done.value.files_touched],
            "check": _check(done.value.check),
        }
    return errand.answer.dump_python(done.value, mode="json")


def _check(check: CheckRun | None) -> dict[str, object] | None:
    if check is None:
        return None
    said = check.model_dump(mode="python")
    return {key: clean(value) if isinstance(value, str) else value for key, value in said.items()}


if __name__ == "__main__":
    sys.exit(main())
