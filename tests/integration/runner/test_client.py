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
from bridge.runner import operations
from bridge.runner.client import RunnerClient, run_in_runner
from bridge.runner.framing import framed, read_frame
from bridge.runner.operations import Call, LocalRunner, ToolRequest, call_tool, read_head
from bridge.runner.server import serve
from bridge.tools import default_tools
from bridge.tools.base import ToolContext, ToolResult
from bridge.workspace.filesystem import Workspace


@dataclass
class RunnerHarness:
    """A runner behind a connection, and the launcher's end of it."""

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

    def command(self, *command: str) -> Call[ToolResult]:
        arguments = f'{{"command": {list(command)!r}}}'.replace("'", '"')
        return call_tool.call(self.request("run_command", arguments))

    def request(self, name: str, arguments: str = "{}") -> ToolRequest:
        return ToolRequest(
            name=name, arguments=arguments, base_commit="0" * 40, command_timeout_seconds=30
        )


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[RunnerHarness]:
    root = tmp_path / "workspace"
    root.mkdir()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        runner = RunnerClient(theirs)
        async with asyncio.TaskGroup() as group:
            work = group.create_task(runner.run())
            made = RunnerHarness(runner, ours, group, root)
            yield made
            work.cancel()
    theirs.close()


@asynccontextmanager
async def impostor(
    harness: RunnerHarness,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    connection = harness.connect()
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_tools_give_the_same_through_a_runner(harness: RunnerHarness) -> None:
    harness.serve()
    tools = {tool.name: tool for tool in run_in_runner(harness.runner, default_tools())}
    output: list[str] = []
    context = ToolContext(
        Workspace(harness.root), "0" * 40, 20.0, frozenset(), harness.root, output.append
    )

    async def call(name: str, arguments: str) -> str:
        tool = tools[name]
        return (await tool.run(context, tool.parse(arguments))).text

    assert "new file" in await call("write_file", '{"path": "a.txt", "content": "é\\n"}')
    assert (await call("read_file", '{"path": "a.txt"}')).endswith("\té")
    assert "Exit code 0" in await call("run_command", '{"command": ["echo", "a", "b"]}')
    assert output == ["a b\n"]
    with pytest.raises(ToolError, match="no such file"):
        await call("read_file", '{"path": "b.txt"}')
    with pytest.raises(ToolError, match="not valid text"):
        await call("read_file", '{"path": "\\ud800"}')
    with pytest.raises(WorkspaceError) as caught:
        await operations.read_diff(harness.runner, "0" * 40, 100)
    assert caught.value.code is ErrorCode.WORKSPACE_MISSING


async def test_an_interrupted_call_is_dead_when_that_is_told(harness: RunnerHarness) -> None:
    harness.serve()
    script = "import os; print(os.getpid(), flush=True); import time; time.sleep(60)"
    text: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    call = asyncio.create_task(
        harness.runner.perform(harness.command("python3", "-c", script), on_output=text.set_result)
    )
    pid = int(await text)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    result = await harness.runner.perform(harness.command("echo", "next"))
    assert "next" in result.text


async def test_a_call_that_is_cancelled_before_it_begins_is_answered(
    harness: RunnerHarness,
) -> None:
    ours, theirs = socket.socketpair()
    local = LocalRunner(Workspace(harness.root), harness.root.parent / "home")
    harness.group.create_task(serve(theirs, local))
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    call = framed({"number": 1, "operation": "read_head", "request": {}})
    writer.write(call + framed({"number": 1, "cancel": True}))
    try:
        async with asyncio.timeout(5):
            assert await read_frame(reader) == ({"number": 1, "cancelled": True}, b"")
    finally:
        writer.close()


async def test_two_operations_at_once_do_not_wait_for_each_other(harness: RunnerHarness) -> None:
    harness.serve()
    slow = asyncio.create_task(harness.runner.perform(harness.command("python3", "-c", "input()")))
    assert await read_head(harness.runner) is None
    await slow


async def test_a_runner_that_ends_fails_its_operations_and_the_next_one_serves(
    harness: RunnerHarness,
) -> None:
    async with impostor(harness) as (reader, _):
        call = asyncio.create_task(harness.runner.perform(harness.command("echo", "x")))
        head = asyncio.create_task(read_head(harness.runner))
        await read_frame(reader)
        await read_frame(reader)
    with pytest.raises(ToolError, match="process that runs the tools ended"):
        await call
    with pytest.raises(WorkspaceError, match="process that runs the tools ended"):
        await head
    harness.serve()
    assert "again" in (await harness.runner.perform(harness.command("echo", "again"))).text


@pytest.mark.parametrize(
    "frame",
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
async def test_whatever_a_runner_says_ends_in_an_error_of_the_call(
    harness: RunnerHarness, frame: bytes
) -> None:
    async with impostor(harness) as (reader, writer):
        call = asyncio.create_task(harness.runner.perform(harness.command("echo", "x")))
        await read_frame(reader)
        writer.write(frame)
        with pytest.raises(ToolError, match="process that runs the tools ended"):
            await call
    harness.serve()
    assert "again" in (await harness.runner.perform(harness.command("echo", "again"))).text


@pytest.mark.parametrize("head", ["", f"+{'a' * 40}", "refs/heads/main", f"{'a' * 40}\n"])
async def test_a_head_that_is_no_commit_is_not_believed(harness: RunnerHarness, head: str) -> None:
    async with impostor(harness) as (reader, writer):
        call = asyncio.create_task(read_head(harness.runner))
        await read_frame(reader)
        writer.write(framed({"number": 1, "done": head}))
        with pytest.raises(WorkspaceError, match="process that runs the tools ended"):
            await call


async def test_a_deaf_runner_is_given_up_after_an_interruption(harness: RunnerHarness) -> None:
    async with impostor(harness) as (reader, writer):
        call = asyncio.create_task(harness.runner.perform(harness.command("echo", "x")))
        await read_frame(reader)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        harness.launcher.setblocking(False)
        assert harness.launcher.recv(16) == b"another"
        writer.write(framed({"number": 1, "done": {}}))  # nobody listens to it any more
    harness.serve()
    assert "again" in (await harness.runner.perform(harness.command("echo", "again"))).text


async def test_a_fault_inside_one_operation_leaves_the_others(harness: RunnerHarness) -> None:
    harness.serve()
    strange = call_tool.call(harness.request("no_tool"))
    with pytest.raises(ToolError, match="no tool"):
        await harness.runner.perform(strange)
    assert "still" in (await harness.runner.perform(harness.command("echo", "still"))).text


async def test_a_check_comes_back_as_it_was_recorded(harness: RunnerHarness) -> None:
    harness.serve()
    result = await harness.runner.perform(harness.command("python3", "-m", "unittest", "discover"))
    check = result.check
    assert check is not None
    assert check.command == "python3 -m unittest discover"
    assert (check.kind, check.exit_code) == (CheckKind.TESTS, result.exit_code)
