"""Prepares commands, and permits one outside the list only after a person has approved it.

The bridge decides; the runner is only told.
"""

import hashlib
import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from bridge.errors import ToolError
from bridge.process.command import environment
from bridge.protocol import ApprovalChoice, Approvals, QuestionAnswered, QuestionKind
from bridge.text import shown
from bridge.tools.base import Question, ToolContext
from bridge.tools.command_policy import checked

# A person has to see all of what they allow.
MAX_ASKED_CHARS = 1_500
_OPERATORS = {
    **dict.fromkeys("|&;\n", "Run one command at a time; there are no pipes or lists."),
    **dict.fromkeys("<>", "The output comes back as it is; write files with write_file."),
    **dict.fromkeys("()`$", "There is no shell: no variables, substitutions or subshells."),
}


def fingerprint(argv: Sequence[str], directory: str, lasting: str = "") -> str:
    """Returns what stands for exactly these arguments in exactly this directory, for so long."""
    text = json.dumps([list(argv), directory, *([lasting] if lasting else [])])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_permitted(
    context: ToolContext, argv: Sequence[str], directory: str, lasting: str = ""
) -> bool:
    """Tells whether a person has approved this command; `directory` is relative to the workspace.

    `lasting` says of one that outlives its call how long it goes on, and makes it another command.
    False where nobody has to be asked, too. Raises ToolError saying what to do instead, or
    PersonNeeded where a person may allow it.
    """
    try:
        checked(argv, context.command_allow, context.workspace.root)
    except ToolError as refusal:
        if context.approvals is not Approvals.ASK or not argv or not argv[0]:
            raise
        mark = fingerprint(argv, directory, lasting)
        if mark in context.approved:
            return True
        answer = context.answer
        if answer is not None and answer.fingerprint == mark:
            return _is_approval(answer)
        line = shown(shlex.join(argv))
        if len(line) > MAX_ASKED_CHARS:
            raise ToolError(f"{refusal}\nIt is too long to ask a person about.") from refusal
        question = Question(
            QuestionKind.APPROVAL,
            line,
            fingerprint=mark,
            working_directory=directory,
            reason=" ".join(filter(None, (str(refusal).splitlines()[0], lasting)))[:1_000],
        )
        context.ask(question)
    return False


def _is_approval(answer: QuestionAnswered) -> bool:
    if answer.answer in (ApprovalChoice.ONCE, ApprovalChoice.AGENT):
        return True
    if answer.message_id is not None:
        raise ToolError("It was not run: a person answered by a message, which follows.")
    raise ToolError(
        "A person refused this command. Do not try it in another form; go on without it, or say "
        "what it was needed for."
    )


def prepare_command(
    context: ToolContext, command: str | list[str], working_directory: str
) -> tuple[list[str], Path, dict[str, str]]:
    """Returns arguments, directory and environment of a command. Raises ToolError if refused."""
    root = context.workspace.root
    asked = split_command(command)
    argv = asked if context.permitted else checked(asked, context.command_allow, root)
    with context.workspace.directory_of(working_directory) as (_, directory, name):
        if name != ".":
            raise ToolError(f"{shown(working_directory)} is not a directory.")
    fixed = environment(context.home, first_on_path=_own_programs(root))
    return argv, root / directory, {**context.variables, **fixed}


def is_command_permitted(
    context: ToolContext, command: str | list[str], working_directory: str, lasting: str = ""
) -> bool:
    """Tells whether a person has approved a command as the model wrote it; see `is_permitted`."""
    directory = context.workspace.relative(working_directory)
    return is_permitted(context, split_command(command), directory, lasting)


def command_line(command: str | list[str]) -> str:
    """Returns a command on one line."""
    return shown(command if isinstance(command, str) else shlex.join(command))


def _own_programs(root: Path) -> tuple[Path, ...]:
    """Returns the repository's own tools, which come first, as they do for its developers."""
    return (root / ".venv" / "bin", root / "venv" / "bin", root / "node_modules" / ".bin")


def split_command(command: str | list[str]) -> list[str]:
    """Returns a command as a list; raises ToolError for what only a shell would understand."""
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
    """Raises ToolError for what only a shell would understand, outside quotes."""
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
