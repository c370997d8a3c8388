"""Which command may run though it is not on the list: exactly the one that a person allowed.

It is decided in the bridge; whoever runs the command is only told.
"""

import hashlib
import json
import shlex
from collections.abc import Sequence

from bridge.errors import ToolError
from bridge.protocol import ApprovalChoice, Approvals, QuestionAnswered, QuestionKind
from bridge.text import shown
from bridge.tools.base import Question, ToolContext
from bridge.tools.command_policy import checked

# A person has to see all of what they allow.
MAX_ASKED_CHARS = 1_500


def fingerprint(argv: Sequence[str], directory: str, lasting: str = "") -> str:
    """What stands for exactly these arguments in exactly this directory, for so long."""
    said = json.dumps([list(argv), directory, *([lasting] if lasting else [])])
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def is_permitted(
    context: ToolContext, argv: Sequence[str], directory: str, lasting: str = ""
) -> bool:
    """Whether a person has allowed this command; `directory` is relative to the workspace.

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
            return _is_leave(answer)
        line = shown(shlex.join(argv))
        if len(line) > MAX_ASKED_CHARS:
            raise ToolError(f"{refusal}\nIt is too long to ask a person about.") from refusal
        wish = Question(
            QuestionKind.APPROVAL,
            line,
            fingerprint=mark,
            working_directory=directory,
            reason=" ".join(filter(None, (str(refusal).splitlines()[0], lasting)))[:1_000],
        )
        context.ask(wish)
    return False


def _is_leave(answer: QuestionAnswered) -> bool:
    if answer.answer in (ApprovalChoice.ONCE, ApprovalChoice.AGENT):
        return True
    if answer.message_id is not None:
        raise ToolError("It was not run: a person answered by a message, which follows.")
    raise ToolError(
        "A person refused this command. Do not try it in another form; go on without it, or say "
        "what it was needed for."
    )
