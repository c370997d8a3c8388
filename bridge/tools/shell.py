"""The tool that runs a command in the workspace."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from bridge.errors import ToolError
from bridge.process.run import CommandResult, Limit, StartError, environment, run
from bridge.text import printed, shown
from bridge.tools.approvals import is_permitted
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult
from bridge.tools.command_policy import checked
from bridge.tools.recorded import check_of

MAX_TIMEOUT_SECONDS = 600.0
_LIMIT = Limit(200_000, 400_000)  # the model reads less of it at once
_OPERATORS = {
    **dict.fromkeys("|&;\n", "Run one command at a time; there are no pipes or lists."),
    **dict.fromkeys("<>", "The output comes back as it is; write files with write_file."),
    **dict.fromkeys("()`$", "There is no shell: no variables, substitutions or subshells."),
}
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
    argv, cwd, env = prepared(context, arguments.command, arguments.working_directory)
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
    check = check_of(_split(arguments.command), directory, finished)
    return replace(_result(finished, seconds), check=check)


def prepared(
    context: ToolContext, command: str | list[str], working_directory: str
) -> tuple[list[str], Path, dict[str, str]]:
    """What to run, where and with which environment. Raises ToolError for what is not allowed."""
    root = context.workspace.root
    asked = _split(command)
    argv = asked if context.permitted else checked(asked, context.command_allow, root)
    with context.workspace.directory_of(working_directory) as (_, directory, name):
        if name != ".":
            raise ToolError(f"{shown(working_directory)} is not a directory.")
    fixed = environment(context.home, first_on_path=_own_programs(root))
    return argv, root / directory, {**context.variables, **fixed}


def may_run(
    context: ToolContext, command: str | list[str], working_directory: str, lasting: str = ""
) -> bool:
    """Whether a person has allowed this command, as `is_permitted` says it; raises the same."""
    directory = context.workspace.relative(working_directory)
    return is_permitted(context, _split(command), directory, lasting)


def _cap(context: ToolContext) -> float:
    return max(context.command_timeout_seconds, MAX_TIMEOUT_SECONDS)


def _own_programs(root: Path) -> tuple[Path, ...]:
    """A repository's own tools come first, as they do for its developers."""
    return (root / ".venv" / "bin", root / "venv" / "bin", root / "node_modules" / ".bin")


def _split(command: str | list[str]) -> list[str]:
    try:
        "".join(command).encode()
    except UnicodeEncodeError as error:
        raise ToolError("The command holds a lone surrogate; write it as plain text.") from error
    if isinstance(command, list):
        return command
    _refuse_operators(command)
    try:
        return shlex.split(command)
    except ValueError as error:
        raise ToolError(f"The command cannot be read: {error}. Give it as a list.") from error


def _refuse_operators(command: str) -> None:
    """Whatever only a shell would understand, outside quotes."""
    quote = ""
    escaped = False
    for character in command.strip():
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _OPERATORS:
            raise ToolError(
                f"{character!r} is not understood. {_OPERATORS[character]} To pass it to the "
                "program as text, quote it or give the command as a list."
            )


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
        if found := _COUNTS.search(line[:1_000]):
            return found[0][:200]
    return ""


def written(command: str | list[str]) -> str:
    """A command on one line."""
    return shown(command if isinstance(command, str) else shlex.join(command))


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
    target=lambda arguments: written(arguments.command),
    asks=lambda context, said: may_run(context, said.command, said.working_directory),
)
