"""The tool that runs a command in the workspace."""

import re
from dataclasses import replace

from pydantic import Field

from bridge.errors import ToolError
from bridge.process.command import CommandResult, Limit, StartError, run
from bridge.text import printed
from bridge.tools.approvals import (
    command_line,
    is_command_permitted,
    prepare_command,
    split_command,
)
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult
from bridge.tools.check_detection import check_of

MAX_TIMEOUT_SECONDS = 600.0
_LIMIT = Limit(200_000, 400_000)  # the model reads less of it at once
_COUNTS = re.compile(
    r"\b\d+ (?:failed|passed|errors?|skipped|xfailed|xpassed|deselected)\b"
    r"(?:, \d+ \w+)*"
)
_LAST_LINES = 8


class RunCommand(Arguments):
    """Arguments of run_command."""

    command: str | list[str] = Field(
        description='A program and its arguments: ["pytest", "-q"] or "pytest -q". No shell.'
    )
    working_directory: str = Field(default=".", description="Relative to the workspace.")
    timeout_seconds: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description=f"At most {MAX_TIMEOUT_SECONDS:.0f}."
    )


async def _run(context: ToolContext, arguments: RunCommand) -> ToolResult:
    argv, cwd, env = prepare_command(context, arguments.command, arguments.working_directory)
    seconds = min(arguments.timeout_seconds or context.command_timeout_seconds, _cap(context))
    try:
        finished = await run(
            argv,
            cwd=cwd,
            env=env,
            timeout_seconds=seconds,
            limit=_LIMIT,
            on_output=context.on_output,
        )
    except StartError as error:
        raise ToolError(str(error)) from error
    directory = str(cwd.relative_to(context.workspace.root))
    check = check_of(split_command(arguments.command), directory, finished)
    return replace(_result(finished, seconds), check=check)


def _cap(context: ToolContext) -> float:
    return max(context.command_timeout_seconds, MAX_TIMEOUT_SECONDS)


def _result(finished: CommandResult, seconds: float) -> ToolResult:
    output = printed(finished.stdout.text).rstrip()
    duration = f"{finished.duration_seconds:.1f} s"
    if finished.timed_out:
        head = f"Timed out after {seconds:g} s; the command and all it had started were killed."
        summary = f"timed out after {seconds:g} s"
    elif finished.exit_code is not None and finished.exit_code < 0:
        head = f"Killed by signal {-finished.exit_code} after {duration}."
        summary = f"signal {-finished.exit_code}"
    else:
        head = f"Exit code {finished.exit_code} after {duration}."
        summary = f"exit {finished.exit_code}"
    counts = _test_counts(output)
    return ToolResult(
        f"{head}\n{output or '(no output)'}",
        f"{summary} · {counts}" if counts else summary,
        ok=finished.exit_code == 0,
        exit_code=finished.exit_code,
    )


def _test_counts(output: str) -> str:
    for line in reversed(output.splitlines()[-_LAST_LINES:]):
        if match := _COUNTS.search(line[:1_000]):
            return match[0][:200]
    return ""


RUN_COMMAND = Tool(
    name="run_command",
    description=(
        "Run a program in the workspace: tests, linters, builds, git and ordinary file programs. "
        "There is no shell: no pipes, no redirection, no wildcards, no variables. Everything it "
        "starts is killed when it ends; what has to go on, such as a development server, is for "
        "start_process. Long output is cut in the middle."
    ),
    arguments=RunCommand,
    run=_run,
    target=lambda arguments: command_line(arguments.command),
    asks=lambda context, arguments: is_command_permitted(
        context, arguments.command, arguments.working_directory
    ),
)
