"""The bridge's end of a runner, with the runner's own loop, or somebody else, at the other end."""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.errors import ToolError, WorkspaceError
from bridge.protocol import CheckKind, ErrorCode
from bridge.runner.__main__ import serve
from bridge.runner.client import RunnerClient
from bridge.runner.framing import framed, read_frame
from bridge.runner.hands import Hands, through
from bridge.runner.local import LocalRunner
from bridge.runner.operations import CallTool, ReadHead
from bridge.tools import default_tools
from bridge.tools.base import ToolContext
from bridge.workspace.filesystem import Workspace


@dataclass
class Desk:
    """A distant runner, and the launcher's end of it."""

    runner: RunnerClient
    launcher: socket.socket
    group: asyncio.TaskGroup
    root: Path

    def connect(self) -> socket.socket:
        """Hand over a connection; its other end."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self.launcher, [b"runner"], [theirs.fileno()])
        return ours

    def serve(self) -> None:
        """Let the real loop answer."""
        local = LocalRunner(Workspace(self.root), self.root.parent / "home")
        task = self.group.create_task(serve(self.connect(), local))
        task.add_done_callback(asyncio.Task.result)

    def command(self, *command: str) -> CallTool:
        return CallTool(
            name="run_command",
            arguments=f'{{"command": {list(command)!r}}}'.replace("'", '"'),
            base_commit="0" * 40,
            command_timeout_seconds=30,
        )


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    root = tmp_path / "workspace"
    root.mkdir()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        runner = RunnerClient(theirs)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(runner.run())
            made = Desk(runner, ours, group, root)
            yield made
            work.cancel()
    theirs.close()


@asynccontextmanager
async def impostor(desk: Desk) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    connection = desk.connect()
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_tools_give_the_same_through_a_runner(desk: Desk) -> None:
    desk.serve()
    tools = {tool.name: tool for tool in through(desk.runner, default_tools())}
    heard: list[str] = []
    context = ToolContext(
        Workspace(desk.root), "0" * 40, 20.0, frozenset(), desk.root, heard.append
    )

    async def call(name: str, arguments: str) -> str:
        tool = tools[name]
        return (await tool.run(context, tool.parse(arguments))).text

    assert "new file" in await call("write_file", '{"path": "a.txt", "content": "é\\n"}')
    assert (await call("read_file", '{"path": "a.txt"}')).endswith("\té")
    assert "Exit code 0" in await call("run_command", '{"command": ["echo", "a", "b"]}')
    assert heard == ["a b\n"]
    with pytest.raises(ToolError, match="no such file"):
        await call("read_file", '{"path": "b.txt"}')
    with pytest.raises(ToolError, match="not valid text"):
        await call("read_file", '{"path": "\\ud800"}')
    with pytest.raises(WorkspaceError) as caught:
        await Hands(desk.runner).diff("0" * 40, 100)
    assert caught.value.code is ErrorCode.WORKSPACE_MISSING


async def test_an_interrupted_call_is_dead_when_that_is_told(desk: Desk) -> None:
    desk.serve()
    script = "import os; print(os.getpid(), flush=True); import time; time.sleep(60)"
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    call = asyncio.create_task(
        desk.runner.perform(desk.command("python3", "-c", script), on_output=said.set_result)
    )
    pid = int(await said)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    done = await desk.runner.perform(desk.command("echo", "next"))
    assert "next" in done.value.text


async def test_two_errands_at_once_do_not_wait_for_each_other(desk: Desk) -> None:
    desk.serve()
    slow = asyncio.create_task(desk.runner.perform(desk.command("python3", "-c", "input()")))
    assert (await desk.runner.perform(ReadHead())).value == ""
    await slow


async def test_a_runner_that_ends_fails_its_errands_and_the_next_one_serves(desk: Desk) -> None:
    async with impostor(desk) as (reader, _):
        call = asyncio.create_task(desk.runner.perform(desk.command("echo", "x")))
        head = asyncio.create_task(desk.runner.perform(ReadHead()))
        await read_frame(reader)
        await read_frame(reader)
    with pytest.raises(ToolError, match="process that runs the tools ended"):
        await call
    with pytest.raises(WorkspaceError, match="process that runs the tools ended"):
        await head
    desk.serve()
    assert "again" in (await desk.runner.perform(desk.command("echo", "again"))).value.text


@pytest.mark.parametrize(
    "said",
    [
        framed({"number": 1, "done": {"text": 5}}),
        framed({"number": 1, "done": "text"}),
        framed({"number": 1, "workspace_error": {"code": "no_such_code"}}),
        framed({"number": 1, "surprise": True}),
        framed({}),
        struct.pack("!II", 2, 0) + b"[]",
        struct.pack("!II", 4, 0) + b"nope",
        struct.pack("!II", 2**31, 0),
        struct.pack("!II", 2, 2**31),
        struct.pack("!II", 100_000, 0) + b"[" * 100_000,
    ],
)
async def test_whatever_a_runner_says_ends_in_an_error_of_the_call(desk: Desk, said: bytes) -> None:
    async with impostor(desk) as (reader, writer):
        call = asyncio.create_task(desk.runner.perform(desk.command("echo", "x")))
        await read_frame(reader)
        writer.write(said)
        with pytest.raises(ToolError, match="process that runs the tools ended"):
            await call
    desk.serve()
    assert "again" in (await desk.runner.perform(desk.command("echo", "again"))).value.text


async def test_a_deaf_runner_is_given_up_after_an_interruption(desk: Desk) -> None:
    async with impostor(desk) as (reader, writer):
        call = asyncio.create_task(desk.runner.perform(desk.command("echo", "x")))
        await read_frame(reader)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        desk.launcher.setblocking(False)
        assert desk.launcher.recv(16) == b"another"
        writer.write(framed({"number": 1, "done": {}}))  # nobody listens to it any more
    desk.serve()
    assert "again" in (await desk.runner.perform(desk.command("echo", "again"))).value.text


async def test_a_fault_inside_one_errand_leaves_the_others(desk: Desk) -> None:
    desk.serve()
    strange = desk.command("echo").model_copy(update={"name": "no_tool"})
    with pytest.raises(ToolError, match="no tool"):
        await desk.runner.perform(strange)
    assert "still" in (await desk.runner.perform(desk.command("echo", "still"))).value.text


async def test_a_check_comes_back_as_it_was_recorded(desk: Desk) -> None:
    desk.serve()
    done = await desk.runner.perform(desk.command("python3", "-m", "unittest", "discover"))
    check = done.value.check
    assert check is not None
    assert check.command == "python3 -m unittest discover"
    assert (check.kind, check.exit_code) == (CheckKind.TESTS, done.value.exit_code)
