"""What a reply can mean while an agent works, and what people control it by beside words."""

import pytest

from tests.e2e.conftest import Stage
from tests.e2e.patience import Patient

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(30),
]


async def at_work(stage: Stage, task: str) -> tuple[str, Patient]:
    """A thread whose agent works until its story is let go."""
    story = Patient()
    stage.script(task, story)
    thread = await stage.started("demo/todo --steps 50", task)
    await stage.said("run_command", thread, "dev")
    return thread, story


async def test_replies_steer_wait_interrupt_are_taken_back_or_are_not_for_it(
    stage: Stage, leftovers: None
) -> None:
    ana, ben = stage.person("ana"), stage.person("ben")
    thread, story = await at_work(stage, "work in rounds")

    # A plain reply is in the next call of the same task.
    steering = await ben.say("mind the docs", "dev", thread)
    asked = await stage.heard("mind the docs")
    assert len(asked.conversation.tasks) == 1
    assert "mind the docs" in asked.conversation.task.steering[0]
    await stage.marked(thread, steering, "white_check_mark")

    # What is queued waits, and is changed or taken back meanwhile.
    queued = [
        await ana.say(f"queue: {text}", "dev", thread)
        for text in ("then update the docs", "and the changelog", "forget this one")
    ]
    for ts in queued:
        await stage.marked(thread, ts, "clock1")
    await ana.edit("dev", queued[1], "queue: and the readme")
    await ana.delete("dev", queued[2])
    aside = await ben.say("aside: lunch?", "dev", thread)
    await stage.settled()

    # An interruption goes before all of them.
    await ben.say("!use the old API", "dev", thread)
    await stage.said("*Task 1* interrupted", thread, "dev")
    asked = await stage.heard("use the old API")
    assert "use the old API" in str(asked.messages[-1]["content"])
    story.let_go()
    before = ""
    for text in ("use the old API", "then update the docs", "and the readme"):
        # The scripted model cannot tell a task that was ended between two calls: the last words.
        before = (await stage.said(f'{text}"]', thread, "dev", after=before))["ts"]
    await stage.said("*Task 4*", thread, "dev")
    await stage.settled()
    everything = str(stage.playground.model.requests[-1].messages)
    for text in ("the changelog", "forget this one", "lunch?"):
        assert text not in everything
    assert stage.marks(thread, aside) == set()
    await stage.marked(thread, queued[0], "white_check_mark")
    assert not [m for m in ana.thread("dev", thread) if "*Task 5*" in m["text"]]
    await stage.stopped(thread)


async def test_a_thread_is_muted_and_a_task_paused_and_both_go_on(
    stage: Stage, leftovers: None
) -> None:
    ana, ben = stage.person("ana"), stage.person("ben")
    thread, story = await at_work(stage, "work until somebody says something")
    await ben.say("mute", "dev", thread)
    await stage.said("muted this thread", thread, "dev")
    await ben.say("what do you think of it?", "dev", thread)
    await ben.say("but you: count twice", "dev", thread, mention=True)
    asked = await stage.heard("but you: count twice")
    assert "what do you think" not in str(asked.messages)
    await ben.say("unmute", "dev", thread)
    await stage.said("unmuted this thread", thread, "dev")
    await ben.say("and all of you again", "dev", thread)
    await stage.heard("and all of you again")

    # Paused by a word, by the button and by a reaction; Resume and a reply let it go on.
    await ben.say("pause", "dev", thread)
    await ben.wait_for_ephemeral("It pauses before its next step")
    card = await stage.said("⏸ *Paused*", thread, "dev")
    count = len(stage.playground.model.requests)
    assert (await ana.click("agent_resume", "dev", card["ts"])).ok
    await stage.said("▶ *Working*", thread, "dev")
    await stage.playground.feed.until(lambda: len(stage.playground.model.requests) > count)
    assert (await ana.click("agent_pause", "dev", card["ts"])).ok
    await stage.said("⏸ *Paused*", thread, "dev")
    assert (await ana.click("agent_resume", "dev", card["ts"])).ok
    await stage.said("▶ *Working*", thread, "dev")
    await ben.react("dev", thread, "double_vertical_bar")
    await stage.said("⏸ *Paused*", thread, "dev")
    count = len(stage.playground.model.requests)
    story.let_go()
    await ben.say("go on, and tell me", "dev", thread)
    await stage.said("go on, and tell me", thread, "dev")
    assert len(stage.playground.model.requests) == count + 1  # none while it was paused
    await stage.stopped(thread)
