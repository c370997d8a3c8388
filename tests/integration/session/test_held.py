"""A session that only shows what is there: no task begins, and what was cut short is closed."""

from bridge.config import BridgeSettings
from bridge.protocol import Outcome, SessionStatus, TaskFinished
from tests.integration.session.conftest import HangingStep, OpenSession, says, task


async def test_a_held_session_is_read_and_begins_nothing(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    held = settings.model_copy(update={"hold_tasks": True})
    async with open_session(says("Never asked."), settings=held) as running:
        await running.session.execute(task())
        (settings.workspace_dir / "new.txt").write_text("new\n")
        assert b"new.txt" in await running.session.patch()
        assert (await running.session.diff()).files
        assert b"t1" in await running.session.export()
        assert running.session.status().status is SessionStatus.IDLE
        assert not running.model.asked
    async with open_session(says("Done."), prepare=False) as running:
        assert await running.outcome("t1") is Outcome.COMPLETED


async def test_a_held_session_closes_what_a_kill_cut_short(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    hang = HangingStep()
    async with open_session(hang) as running:
        await running.session.execute(task())
        await hang.reached.wait()
        state = {path.name: path.read_bytes() for path in settings.state_dir.glob("*.jsonl")}
    for name, content in state.items():
        (settings.state_dir / name).write_bytes(content)
    held = settings.model_copy(update={"hold_tasks": True})
    async with open_session(prepare=False, settings=held) as running:
        events = await running.finished("t1")
        assert isinstance(events[-1], TaskFinished)
        assert events[-1].outcome is Outcome.FAILED
        assert not running.model.asked
