"""What the bridge records about a task, and a task that is undone."""

from pathlib import Path

import pytest

from bridge.config import BridgeSettings
from bridge.errors import BridgeError
from bridge.protocol import (
    CheckKind,
    ErrorCode,
    Evidence,
    FilesChanged,
    TaskFinished,
    TaskRequest,
    TaskUndone,
)
from tests.harness.git import run_git
from tests.integration.session.conftest import (
    HangingStep,
    OpenSession,
    RunningSession,
    calls,
    message,
    says,
    task,
)

TEST_FILE = (
    "import unittest\nclass T(unittest.TestCase):\n def test(self): self.assertEqual(1, 1)\n"
)
WRITE_TEST = calls("write_file", {"path": "test_one.py", "content": TEST_FILE})
RUN_TESTS = calls("run_command", {"command": ["python3", "-m", "unittest", "-q"]})
RUN_MISSING = calls("run_command", {"command": ["python3", "-m", "unittest", "-q", "no_such"]})


async def evidence(running: RunningSession, task_id: str = "t1") -> Evidence:
    last = (await running.finished(task_id))[-1]
    assert isinstance(last, TaskFinished)
    return last.evidence


def files(workspace: Path) -> dict[str, bytes]:
    paths = (path for path in workspace.rglob("*") if ".git" not in path.parts)
    return {str(path.relative_to(workspace)): path.read_bytes() for path in paths if path.is_file()}


async def test_a_check_after_the_last_edit(open_session: OpenSession) -> None:
    async with open_session(WRITE_TEST, RUN_TESTS, says("Done.")) as running:
        await running.session.execute(task())
        recorded = await evidence(running)
    [check] = recorded.checks
    assert (check.command, check.kind) == ("python3 -m unittest -q", CheckKind.TESTS)
    assert (check.exit_code, check.passed, check.failed) == (0, 1, 0)
    assert check.stale is False
    assert recorded.changed is True


async def test_a_check_before_the_last_edit_is_stale(open_session: OpenSession) -> None:
    edit = calls("write_file", {"path": "README.md", "content": "other\n"})
    async with open_session(WRITE_TEST, RUN_TESTS, RUN_MISSING, edit, says("Done.")) as running:
        await running.session.execute(task())
        recorded = await evidence(running)
    assert [(check.exit_code, check.stale) for check in recorded.checks] == [(0, True), (1, True)]


async def test_an_edit_that_is_taken_back_makes_no_check_stale(open_session: OpenSession) -> None:
    there = calls("write_file", {"path": "x.txt", "content": "1"})
    back = calls("run_command", {"command": ["rm", "x.txt"]})
    async with open_session(WRITE_TEST, RUN_TESTS, there, back, says("Done.")) as running:
        await running.session.execute(task())
        [check] = (await evidence(running)).checks
    assert check.stale is False


async def test_only_the_newest_run_of_a_command_counts(open_session: OpenSession) -> None:
    steps = (RUN_MISSING, WRITE_TEST, RUN_TESTS, RUN_TESTS, says("Done."))
    async with open_session(*steps) as running:
        await running.session.execute(task())
        recorded = await evidence(running)
    assert [(check.exit_code, check.stale) for check in recorded.checks] == [(1, True), (0, False)]


@pytest.mark.parametrize("reads", [True, False])
async def test_a_task_that_changes_nothing_and_checks_nothing(
    open_session: OpenSession, *, reads: bool
) -> None:
    steps = (calls("read_file", {"path": "README.md"}),) if reads else ()
    async with open_session(*steps, says("Hello.")) as running:
        await running.session.execute(task())
        assert await evidence(running) == Evidence(changed=False)


async def test_an_interrupted_task_keeps_its_evidence_over_a_restart(
    open_session: OpenSession,
) -> None:
    ask = calls("ask_user", {"question": "Go on?"})
    async with open_session(WRITE_TEST, RUN_TESTS, ask) as running:
        await running.session.execute(task())
        await running.events(lambda event: event.type == "question_asked")
    async with open_session(prepare=False) as running:
        await running.session.interrupt()
        recorded = await evidence(running)
    assert [check.stale for check in recorded.checks] == [False]
    assert recorded.changed is True


async def test_an_undone_task_leaves_the_files_as_they_were(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    workspace = settings.workspace_dir
    first = calls("write_file", {"path": "kept.txt", "content": "kept\n"})
    steps = (
        *(first, says("One.")),
        calls("write_file", {"path": "README.md", "content": "gone\n"}),
        calls("write_file", {"path": "new/deep.txt", "content": "new\n"}),
        calls("run_command", {"command": ["rm", "AGENTS.md", "kept.txt"]}),
        says("Two."),
        says("Three."),
    )
    async with open_session(*steps) as running:
        await running.session.execute(task())
        await running.finished("t1")
        (workspace / ".gitattributes").write_text("*.bin filter=evil\n")
        (workspace / "raw.bin").write_bytes(b"a\r\n\x00\n")
        for part in ("clean", "smudge"):
            run_git(workspace, "config", f"filter.evil.{part}", "tr a b")
        before, status = files(workspace), run_git(workspace, "status", "--short")
        await running.session.chat(message(1))
        await running.finished("r1")
        assert files(workspace) != before
        undone = await running.session.undo(TaskRequest(task_id="r1"))
        assert undone.files == 4
        assert files(workspace) == before
        assert run_git(workspace, "status", "--short") == status
        assert await running.session.undo(TaskRequest(task_id="r1")) == undone
        assert files(workspace) == before
        with pytest.raises(BridgeError) as caught:
            await running.session.undo(TaskRequest(task_id="no"))
        assert caught.value.code is ErrorCode.NOT_FOUND
        events = await running.events(lambda event: isinstance(event, TaskUndone))
        await running.session.undo(TaskRequest(task_id="t1"))
        assert not (workspace / "kept.txt").exists()
        await running.session.chat(message(2))
        await running.finished("r2")
        texts = [str(entry["content"]) for entry in running.model.asked[-1].messages]
    assert sum("undone the last task" in text for text in texts) == 2
    [undo_event] = [event for event in events if isinstance(event, TaskUndone)]
    assert undo_event.undone_task_id == "r1"


async def test_what_was_committed_is_taken_back_by_a_commit(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    workspace = settings.workspace_dir
    steps = (
        calls("write_file", {"path": "new.txt", "content": "new\n"}),
        calls("run_command", {"command": ["git", "add", "new.txt"]}),
        calls("run_command", {"command": ["git", "commit", "-m", "new"]}),
        calls("run_command", {"command": ["git", "checkout", "-b", "elsewhere"]}),
        says("Done."),
    )
    async with open_session(*steps) as running:
        await running.session.execute(task())
        await running.finished("t1")
        committed = run_git(workspace, "rev-parse", "agent/demo")
        await running.session.undo(TaskRequest(task_id="t1"))
        diff = await running.session.diff()
        events = await running.events(
            lambda event: isinstance(event, FilesChanged) and event.files == ()
        )
    assert not (workspace / "new.txt").exists()
    assert run_git(workspace, "symbolic-ref", "--short", "HEAD") == "agent/demo"
    assert run_git(workspace, "status", "--short") == ""
    assert run_git(workspace, "rev-parse", "HEAD^") == committed
    assert diff.files == ()
    assert events


async def test_a_task_at_work_and_one_that_was_followed_are_not_undone(
    open_session: OpenSession,
) -> None:
    hang = HangingStep()
    write = calls("write_file", {"path": "a.txt", "content": "1"})
    async with open_session(write, says("One."), write, says("Two."), hang) as running:
        await running.session.execute(task())
        await running.finished("t1")
        await running.session.chat(message(1))
        await running.finished("r1")
        with pytest.raises(BridgeError) as caught:
            await running.session.undo(TaskRequest(task_id="t1"))
        assert caught.value.code is ErrorCode.WORKSPACE_CONFLICT
        await running.session.chat(message(2))
        await hang.reached.wait()
        with pytest.raises(BridgeError) as caught:
            await running.session.undo(TaskRequest(task_id="r2"))
        assert caught.value.code is ErrorCode.WORKSPACE_CONFLICT
        await running.session.interrupt()
        # It ran no tool, so that there is nothing to take back.
        with pytest.raises(BridgeError) as caught:
            await running.session.undo(TaskRequest(task_id="r2"))
        assert caught.value.code is ErrorCode.NOT_FOUND
