"""Tools for processes that go on while other tools run: start, read and stop one."""

import asyncio

from pydantic import Field

from bridge.errors import ToolError
from bridge.process.background import MAX_LIFETIME_SECONDS, MAX_PROCESSES, Process, ProcessesError
from bridge.process.command import StartError
from bridge.text import printed
from bridge.tools.approvals import command_line, is_command_permitted, prepare_command
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult

_FIRST_SECONDS = 1.0
_MAX_WAIT_SECONDS = 60.0
_MAX_OUTPUT_CHARS = 40_000
_HOURS = f"{MAX_LIFETIME_SECONDS / 3_600:g} hours"
_LASTING = f"It would go on in the background, for up to {_HOURS}."


class StartProcess(Arguments):
    """Arguments of start_process."""

    command: str | list[str] = Field(
        description='A program and its arguments: ["npm", "run", "dev"]. No shell.'
    )
    working_directory: str = Field(default=".", description="Relative to the workspace.")


class ReadProcess(Arguments):
    """Arguments of read_process."""

    process: str = Field(
        default="", max_length=40, description="As start_process gave it; empty: list all."
    )
    wait_seconds: float = Field(
        default=0.0, ge=0, le=_MAX_WAIT_SECONDS, description="Wait for its end, up to so long."
    )


class StopProcess(Arguments):
    """Arguments of stop_process."""

    process: str = Field(min_length=1, max_length=40, description="As start_process gave it.")


async def _start(context: ToolContext, arguments: StartProcess) -> ToolResult:
    argv, cwd, env = prepare_command(context, arguments.command, arguments.working_directory)
    command = command_line(arguments.command)
    try:
        process = await context.processes.start(argv, cwd=cwd, env=env, command=command)
    except (ProcessesError, StartError) as error:
        raise ToolError(str(error)) from error
    await _ended_within(_FIRST_SECONDS, process)  # what cannot work says so at once
    output = _describe_output(process)
    text = f"{process.name} was started. {output}\n\nAll:\n{context.processes.listed()}"
    return ToolResult(text, f"{process.name} {process.state}", ok=_is_well(process))


async def _read(context: ToolContext, arguments: ReadProcess) -> ToolResult:
    if not arguments.process:
        return ToolResult(context.processes.listed(), "all processes")
    process = _find_process(context, arguments.process)
    await _ended_within(arguments.wait_seconds, process)
    return ToolResult(_describe_output(process), process.state, ok=_is_well(process))


async def _stop(context: ToolContext, arguments: StopProcess) -> ToolResult:
    process = _find_process(context, arguments.process)
    await context.processes.stop(arguments.process)
    return ToolResult(_describe_output(process), process.state)


def _find_process(context: ToolContext, name: str) -> Process:
    try:
        return context.processes.find(name)
    except ProcessesError as error:
        raise ToolError(str(error)) from error


async def _ended_within(seconds: float, process: Process) -> None:
    if seconds and process.is_running:
        try:
            async with asyncio.timeout(seconds):
                await process.running.wait()
        except TimeoutError:
            return


def _is_well(process: Process) -> bool:
    return process.is_running or bool(process.stopped) or process.running.returncode == 0


def _describe_output(process: Process) -> str:
    text, lost = process.new_output()
    output = printed(text).rstrip()
    if len(output) > _MAX_OUTPUT_CHARS:
        lost += len(output) - _MAX_OUTPUT_CHARS
        output = output[-_MAX_OUTPUT_CHARS:]
    cut = f"… {lost} bytes cut …\n" if lost else ""
    return f"{process.name}: {process.state}. New output:\n{cut}{output or '(none)'}"


START_PROCESS = Tool(
    name="start_process",
    description=(
        "Start a program that goes on while you use other tools: a development server, a watcher, "
        "a long build. It runs in the foreground of itself: what it puts into the background "
        f"may be killed. At most {MAX_PROCESSES} at once, each for up to "
        f"{_HOURS} and until the agent is stopped. The same "
        "programs as in run_command, and no shell."
    ),
    arguments=StartProcess,
    run=_start,
    target=lambda arguments: command_line(arguments.command),
    asks=lambda context, arguments: is_command_permitted(
        context, arguments.command, arguments.working_directory, _LASTING
    ),
)
READ_PROCESS = Tool(
    name="read_process",
    description=(
        "Read what a process of start_process has said since you asked last, and whether it still "
        "runs. wait_seconds waits for its end. Without a name all processes are listed."
    ),
    arguments=ReadProcess,
    run=_read,
    target=lambda arguments: arguments.process,
)
STOP_PROCESS = Tool(
    name="stop_process",
    description="Stop a process of start_process and everything that it started.",
    arguments=StopProcess,
    run=_stop,
    target=lambda arguments: arguments.process,
)
