"""Plays a review that is longer than its steps allow: file by file, with notes."""

from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.model.python_tests import counts_in, run_tests, tests_run

FILES = (
    "README.md", "todo/items.py", "todo/storage.py", "todo/__main__.py", "tests/test_items.py",
    "tests/test_storage.py", "todo/__init__.py", "AGENTS.md",
)  # fmt: skip
PATTERNS = (
    "today", "raise ", "def ", "import ", "json", "done", "title", "class ", "return", "self",
)  # fmt: skip
STEPS: tuple[ScriptedTurn, ...] = (
    ScriptedTurn("I go through it file by file.", (ScriptedCall("list_directory", {"path": "."}),)),
    ScriptedTurn("First what the tests say today.", (run_tests(),)),
    *(
        ScriptedTurn(f"Now `{path}`.", (ScriptedCall("read_file", {"path": path}),))
        for path in FILES
    ),
    *(
        ScriptedTurn(
            f"Across files: every place with `{pattern.strip()}`.",
            (ScriptedCall("search_files", {"pattern": pattern}),),
        )
        for pattern in PATTERNS
    ),
    ScriptedTurn("What changed lately?", (ScriptedCall("git_log", {}),)),
)


def review(conversation: ParsedConversation) -> ScriptedTurn:
    """Read every file, then report; a later task goes on where the last one ended."""
    done = sum(len(task.turns) for task in conversation.tasks[:-1])
    # The answers that ended earlier tasks were turns, too, and no steps of the review.
    step = done - len(conversation.tasks) + 1 + conversation.turn
    return STEPS[step] if step < len(STEPS) else ScriptedTurn(_findings(conversation))


def read_so_far(conversation: ParsedConversation) -> list[str]:
    """The files that were read, in all tasks."""
    results = (r for task in conversation.tasks for r in task.results_of("read_file"))
    return list(dict.fromkeys(str(result.arguments.get("path", "?")) for result in results))


def progress(conversation: ParsedConversation) -> str:
    """Report which files are read and which are not, for an unfinished review."""
    read = read_so_far(conversation)
    left = [path for path in FILES if path not in read]
    return (
        f"Read: {_listed(read)}. Left: {_listed(left)}, and the search across all of them. "
        "Nothing was changed. A reply goes on from here."
    )


def _listed(paths: list[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths) or "nothing"


def _findings(conversation: ParsedConversation) -> str:
    results = [text for task in conversation.tasks for text in tests_run(task)]
    ran, failed = counts_in(results[0]) if results else (None, 0)
    tests = f"{ran} tests ran, {failed} failed" if ran is not None else "the tests did not run"
    return (
        f"I read {len(read_so_far(conversation))} files; {tests}.\n\n"
        "1. `is_overdue` compares with `<=`, so an item that is due today counts as overdue.\n"
        "2. `save` writes in place; a crash in the middle loses the list.\n"
        "3. `finish` takes the first open item of a title; two of the same name are not told "
        "apart.\n\nI changed nothing."
    )
