"""What comes too late, or where Slack takes nothing: a clear sentence, and nothing has changed."""

from dataclasses import replace

import pytest

from bot.agents.service import ThreadMessage
from bot.domain.agent import AgentStatus, ThreadRef
from bot.slack.ephemeral import TOO_LATE
from bot.slack.outbox.undeliverable import Undeliverable
from bot.slack.views.home import OPEN_DEFAULTS
from bot.slack.views.task_card import INTERRUPT
from bridge.protocol import FileChange, FilesChanged
from playground.slack.slack_state import TEAM_ID
from tests.integration.handlers.conftest import Office
from tests.integration.handlers.test_quietness import GENERAL, Scene, scene
from tests.integration.handlers.test_results import button_posted

__all__ = ["scene"]


async def test_the_button_of_a_task_that_has_ended_interrupts_no_later_one(office: Office) -> None:
    agent, root = await office.in_thread()
    ben = office.person("ben")
    await button_posted(office, agent, root, INTERRUPT)
    office.harness.bridge.finish(agent.id, "Done.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await ben.click(INTERRUPT, "general")
    await ben.wait_for_ephemeral("has ended")
    await ben.say("and now this", "general", root)
    await office.harness.reaches(agent.id, AgentStatus.WORKING)
    await ben.click(INTERRUPT, "general")
    await office.settle()
    assert len([told for told in ben.ephemerals() if "has ended" in told.text]) == 2
    stored = await office.harness.stored(agent.id)
    assert stored.status is AgentStatus.WORKING
    assert "interrupt" not in office.harness.bridge.routes(agent.id)


@pytest.mark.parametrize("typed", ["", "fix the login", "secrets"])
async def test_a_command_that_opens_a_window_too_late_says_so(office: Office, typed: str) -> None:
    office.slack.faults.fail("views.open", "error", code="expired_trigger_id")
    ana = office.person("ana")
    await ana.slash("/agent", typed)
    await ana.wait_for_ephemeral(TOO_LATE)
    assert not ana.views()
    assert not await office.harness.store.agents(alive=False)


async def test_the_home_tab_tells_of_a_late_click_by_a_direct_message(office: Office) -> None:
    ana = office.person("ana")
    await ana.open_home()
    await office.settle()
    office.slack.faults.fail("views.open", "error", code="exchanged_trigger_id")
    await ana.click_view(OPEN_DEFAULTS)
    await office.settle()
    sent = [e.data["arguments"] for e in office.slack.feed.entries("api_call")]
    assert {"channel": ana.user.id, "text": TOO_LATE} in sent


def listening(scene: Scene) -> None:
    client = scene.outbox._delivery._client
    note = Undeliverable(
        scene.harness.store, scene.harness.dependencies.presenter, client
    ).note_refusal
    scene.outbox._on_dead = note


async def test_where_slack_takes_no_files_the_thread_hears_where_the_changes_are(
    scene: Scene,
) -> None:
    listening(scene)
    agent = await scene.working(
        FilesChanged(
            at=2.0, files=(FileChange(path="a.py", status="modified", added=1, removed=0),)
        )
    )
    scene.harness.bridge.patch_bytes = b"diff --git a/a.py b/a.py\n+new\n"
    scene.slack.faults.fail("files.getUploadURLExternal", "error", code="file_uploads_disabled")
    await scene.harness.service.results.file_patch(agent, "click-1")
    await scene.sent()
    await scene.sent()
    [said] = [text for text in scene.texts(agent) if "took no file" in text]
    assert "`file_uploads_disabled`" in said
    assert "*Show diff*" in said
    # The next press is another file: it is not refused because the first one was.
    await scene.harness.service.results.file_patch(agent, "click-2")
    await scene.sent()
    replies = scene.slack.state.channels[GENERAL].replies(agent.thread_ts or "")
    assert [message for message in replies if message.files]


async def test_a_locked_thread_is_told_to_its_starter_once(scene: Scene) -> None:
    listening(scene)
    agent = await scene.agent("quiet")
    thread = ThreadRef(TEAM_ID, GENERAL, agent.thread_ts or "")
    before = scene.texts(agent)
    for number in (1, 2):
        await scene.harness.service.reply(
            ThreadMessage(thread, "U00000ANA", f"{number}.1", "go on")
        )
        await scene.harness.reaches(agent.id, AgentStatus.WORKING)
        scene.slack.faults.fail("chat.postMessage", "error", code="restricted_action_thread_locked")
        scene.harness.bridge.finish(agent.id, "Done.")
        await scene.harness.reaches(agent.id, AgentStatus.IDLE)
        await scene.sent()
    assert scene.texts(agent) == before
    sent = [e.data["arguments"] for e in scene.slack.feed.entries("api_call")]
    told = [call for call in sent if call.get("channel") == "U00000ANA"]
    assert len(told) == 1
    assert f"The thread of agent `{agent.id}` in <#{GENERAL}> takes no messages" in told[0]["text"]


async def test_a_thread_that_was_told_of_long_ago_may_be_told_of_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.outbox.undeliverable.MOST_TOLD", 1)
    client = scene.outbox._delivery._client
    undelivered = Undeliverable(scene.harness.store, scene.harness.dependencies.presenter, client)
    first = await scene.agent("quiet")
    second = replace(first, id="p7qdxy", thread_ts="2.1")
    async with scene.harness.store.transaction() as tx:
        await tx.add_agent(second)
    for agent in (first, first, second, second, first):
        await undelivered.note_refusal(agent.id, "answer:1", "is_archived")
        assert list(undelivered._told_agents) == [agent.id]
    sent = [e.data["arguments"] for e in scene.slack.feed.entries("api_call")]
    told = [call["text"] for call in sent if "takes no messages of mine" in str(call)]
    assert [first.id in text for text in told] == [True, False, True]
