"""Describes a pull request by its diff alone."""

import re

from playground.model.parsed_conversation import ParsedConversation, ScriptedTurn, content_text
from playground.model.python_tests import line_counts

_ASKED = "title and the description of a pull request"
_FILE = re.compile(r"^diff --git a/(\S+) b/", re.MULTILINE)


def is_asked(conversation: ParsedConversation) -> bool:
    """Check whether this request wants a description, and no work."""
    first = conversation.messages[0] if conversation.messages else {}
    return not conversation.tools and _ASKED in content_text(first.get("content"))


def describe(conversation: ParsedConversation) -> ScriptedTurn:
    """A title, and a list of the files with their lines."""
    asked = conversation.task.text
    task = asked.partition("# Task\n")[2].partition("\n")[0].strip()
    parts = re.split(r"^(?=diff --git )", asked, flags=re.MULTILINE)[1:]
    rows = []
    for part in parts:
        added, removed = line_counts(part)
        if path := _FILE.match(part):
            rows.append(f"- `{path[1]}`: {added} lines added, {removed} removed")
    title = f"{task[:1].upper()}{task[1:70]}" or "Change the code"
    return ScriptedTurn("\n".join([title, "", "What the diff shows:", "", *rows]))
