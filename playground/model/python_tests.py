"""Makes the calls on the sample that scenarios share, its tests and a commit, and reads them."""

import re

from playground.model.parsed_conversation import (
    ParsedConversation,
    ScriptedCall,
    ScriptedTask,
    ScriptedTurn,
)

UNITTEST = ("python3", "-m", "unittest", "-v")


def run_tests(*names: str) -> ScriptedCall:
    """The call that runs all tests, or the named modules."""
    return ScriptedCall("run_command", {"command": [*UNITTEST, *names]})


def commit(conversation: ParsedConversation, message: str) -> tuple[ScriptedTurn, ...]:
    """The turns that commit everything, when the thread's first task asks for it."""
    if not re.search(r"\bcommit\b", conversation.tasks[0].text):
        return ()
    add = ScriptedCall("run_command", {"command": ["git", "add", "--all"]})
    record = ScriptedCall("run_command", {"command": ["git", "commit", "--message", message]})
    return ScriptedTurn("I commit it.", (add,)), ScriptedTurn("", (record,))


def tests_run(task: ScriptedTask) -> list[str]:
    """Return the outputs of the test runs of a task, in order."""
    return [
        result.text
        for result in task.results_of("run_command")
        if "unittest" in result.arguments.get("command", ())
    ]


def counts_in(output: str) -> tuple[int | None, int]:
    """Read from unittest's output how many tests ran and how many failed."""
    ran = re.search(r"Ran (\d+) tests?", output)
    failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
    return (int(ran.group(1)) if ran else None), failed


def line_counts(diff: str) -> tuple[int, int]:
    """Count the lines that a diff adds and removes."""
    added = len(re.findall(r"^\+(?!\+\+)", diff, re.MULTILINE))
    removed = len(re.findall(r"^-(?!--)", diff, re.MULTILINE))
    return added, removed
