"""Counts the files, and the calls between files, of nine walks through the product.

usage: make walks. Each walk is a test; a profile of its run counts the files of the product in
which a function ran, and the different calls from a function of one file into another file.
docs/architecture.md shows the figures.
"""

import sys
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = (f"{ROOT}/bot/", f"{ROOT}/bridge/")
_HANDLERS, _AGENTS = "tests/integration/handlers", "tests/integration/agents"
_GATEWAY, _SESSION = "tests/integration/gateway", "tests/integration/session"
WALKS = {
    "a slash text": f"{_HANDLERS}/test_commands.py::test_a_command_starts_an_agent_in_its_channel",
    "a reply": f"{_HANDLERS}/test_messages.py"
    "::test_replies_reach_the_agent_with_and_without_a_mention",
    "an event": f"{_AGENTS}/test_progress.py"
    "::test_what_happens_shows_on_the_card[event1-read_file]",
    "a tool call": f"{_SESSION}/test_session.py::test_a_task_reads_edits_and_answers",
    "a push": f"{_GATEWAY}/test_push.py::test_the_own_branch_is_pushed_again_and_again[0]",
    "a stop": f"{_AGENTS}/test_stop.py::test_what_changed_is_named_and_filed_as_a_patch",
    "a model call": f"{_GATEWAY}/test_model_proxy.py"
    "::test_the_key_is_added_and_nothing_else_of_the_container_goes_out",
    "a secret": f"{_HANDLERS}/test_secrets.py"
    "::test_the_variables_of_a_person_a_channel_and_a_repository_reach_the_bridge",
    "an undo": f"{_AGENTS}/test_buttons.py::test_a_task_that_changed_files_can_be_undone_once",
}


class WalkCounter:
    """Profiles each test; `figures` holds its files, in the order in which they were entered."""

    def __init__(self) -> None:
        self.figures: dict[str, tuple[list[str], int]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Runs the test under the profile."""
        files: dict[str, None] = {}
        calls: set[tuple[str, str, str, str]] = set()

        def note(frame: FrameType, event: str, _argument: object) -> None:
            code = frame.f_code
            if event != "call" or not code.co_filename.startswith(PRODUCT):
                return
            files.setdefault(code.co_filename.removeprefix(f"{ROOT}/"))
            caller = frame.f_back
            while caller and not caller.f_code.co_filename.startswith(PRODUCT):
                caller = caller.f_back
            if caller and caller.f_code.co_filename != code.co_filename:
                begin = caller.f_code
                calls.add((begin.co_filename, begin.co_name, code.co_filename, code.co_name))

        sys.setprofile(note)
        try:
            return (yield)
        finally:
            sys.setprofile(None)
            self.figures[item.nodeid] = (list(files), len(calls))


def main() -> int:
    """Runs the nine tests and prints their figures; with --files the files as well."""
    counter = WalkCounter()
    status = pytest.main(["-q", "--no-header", "--durations=0", *WALKS.values()], plugins=[counter])
    for walk, test in WALKS.items():
        files, calls = counter.figures.get(test, ([], 0))
        print(f"{walk}: {len(files)} files, {calls} calls between files")
        if "--files" in sys.argv[1:]:
            print("  " + "\n  ".join(files))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
