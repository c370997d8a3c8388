"""Nothing that is stored or shown has a known secret in it."""

from pathlib import Path

from bot.domain.agent import AgentStatus
from bot.domain.posts import PostKind
from bridge.protocol import Outcome, TaskFinished, WireError
from tests.harness.app import KNOWN_SECRET, AppHarness
from tests.scripted_bridge import CHANGED

HOLDS = f"+password = {KNOWN_SECRET}\n".encode()


async def test_a_failure_that_names_a_secret_is_shown_without_it(harness: AppHarness) -> None:
    agent = await harness.working()
    error = WireError(code="model_refused", message=f"The key {KNOWN_SECRET} is refused.")
    harness.bridge.push(
        agent.id,
        TaskFinished(
            at=1.0,
            task_id=agent.first_task_id,
            outcome=Outcome.FAILED,
            steps=1,
            duration_seconds=1,
            error=error,
        ),
    )
    await harness.reaches(agent.id, AgentStatus.IDLE)
    shown = await harness.shown(agent.id)
    assert "The key [redacted] is refused" in str(list(shown.values()))
    assert KNOWN_SECRET not in str(list(shown.values()))


async def test_a_patch_with_a_secret_is_kept_and_not_posted(
    harness: AppHarness, tmp_path: Path
) -> None:
    agent = await harness.idle()
    harness.bridge.patch_bytes, harness.bridge.saved = HOLDS, CHANGED
    await harness.service.results.file_patch(agent, "click-1")
    await harness.service.stop(agent.id, "UANA")
    shown = await harness.shown(agent.id)
    assert not [post for post in shown.values() if post.kind is PostKind.FILE]
    told = [post.text for post in shown.values() if "patch is not posted" in post.text]
    assert len(told) == 2
    kept = await harness.store.saved_state(agent.id)
    assert kept
    assert kept.patch == HOLDS


async def test_an_edit_of_a_message_is_stored_without_secrets(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.reply(agent, "5.1", "queue it")
    stored = await harness.stored(agent.id)
    assert stored.thread
    await harness.asked("chat")
    await harness.service.message_edits.revise_message(stored.thread, "5.1", f"use {KNOWN_SECRET}")
    assert ("revise", agent.id, ("5.1", "use [redacted]")) in harness.bridge.asked
