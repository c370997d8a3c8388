"""Running the sample's tests from a story, and reading what unittest said."""

import re

from playground.model.conversation import Call

UNITTEST = ("python3", "-m", "unittest", "-v")


def run_tests(*names: str) -> Call:
    """The call that runs all tests, or the named modules."""
    return Call("run_command", {"command": [*UNITTEST, *names]})


def counts_in(output: str) -> tuple[int | None, int]:
    """How many tests ran and how many failed, read from unittest's output."""
    ran = re.search(r"Ran (\d+) tests?", output)
    failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", output))
    return (int(ran.group(1)) if ran else None), failed


def line_counts(diff: str) -> tuple[int, int]:
    """How many lines a diff adds and removes."""
    added = len(re.findall(r"^\+(?!\+\+)", diff, re.MULTILINE))
    removed = len(re.findall(r"^-(?!--)", diff, re.MULTILINE))
    return added, removed
