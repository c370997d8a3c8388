"""What a reply can mean while an agent works, and what people control it by beside words."""

import pytest

from tests.e2e.conftest import Deployment
from tests.e2e.patience import Patient

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(30),
]


async def at_work(deployment: Deployment, task: str) -> tuple[str, Patient]:
    """A thread whose agent works until its story is let go."""
    scenario = Patient()
    deployment.script(task, scenario)
    thread = await deployment.start_agent("demo/todo --steps 50", task)
    await deployment.wait_for_reply("run_command", thread, "dev")
    return thread, scenario


async def test_replies_steer_wait_interrupt_are_taken_back_or_are_not_for_it(
    deployment: Deployment, leftovers: None
) -> None:
    ana, ben = deployment.person("ana"), deployment.person("ben")
    thread, scenario = await at_work(deployment, "work in rounds")

    # A plain reply is in the next call of the same task.
    steering = await ben.say("mind the docs", "dev", thread)
    asked = await deployment.wait_for_request("mind the docs")
    assert len(asked.conversation.tasks) == 1
    assert "mind the docs" in asked.conversation.task.steering[0]
    await deployment.wait_for_reaction(thread, steering, "white_check_mark")

    # What is queued waits, and is changed or taken back meanwhile.
    queued = [
        await ana.say(f"queue: {text}", "dev", thread)
        for text in ("then update the docs", "and the changelog", "forget this one")
    ]
    for ts in queued:
        await deployment.wait_for_reaction(thread, ts, "clock1")
    await ana.edit("dev", queued[1], "queue: and the readme")
    await ana.delete("dev", queued[2])
    aside = await ben.say("aside: lunch?", "dev", thread)
    await deployment.settled()

    # An interruption goes before all of them.
    await ben.say("!use the old API", "dev", thread)
    await deployment.wait_for_reply("*Task 1* interrupted", thread, "dev")
    asked = await deployment.wait_for_request("use the old API")
    assert "use the old API" in str(asked.messages[-1]["content"])
    scenario.let_go()
    before = ""
    for text in ("use the old API", "then update the docs", "and the readme"):
        # The scripted model cannot tell a task that was ended between two calls: the last words.
        before = (await deployment.wait_for_reply(f'{text}"]', thread, "dev", after=before))["ts"]
    await deployment.wait_for_reply("*Task 4*", thread, "dev")
    await deployment.settled()
    everything = str(deployment.playground.model.requests[-1].messages)
    for text in ("the changelog", "forget this one", "lunch?"):
        assert text not in everything
    assert deployment.reactions_of(thread, aside) == set()
    await deployment.wait_for_reaction(thread, queued[0], "white_check_mark")
    assert not [m for m in ana.thread("dev", thread) if "*Task 5*" in m["text"]]
    await deployment.stop_agent(thread)


async def test_a_thread_is_muted_and_a_task_paused_and_both_go_on(
    deployment: Deployment, leftovers: None
) -> None:
    ana, ben = deployment.person("ana"), deployment.person("ben")
    thread, scenario = await at_work(deployment, "work until somebody says something")
    await ben.say("mute", "dev", thread)
    await deployment.wait_for_reply("muted this thread", thread, "dev")
    await ben.say("what do you think of it?", "dev", thread)
    await ben.say("but you: count twice", "dev", thread, mention=True)
    asked = await deployment.wait_for_request("but you: count twice")
    assert "what do you think" not in str(asked.messages)
    await ben.say("unmute", "dev", thread)
    await deployment.wait_for_reply("unmuted this thread", thread, "dev")
    await ben.say("and all of you again", "dev", thread)
    await deployment.wait_for_request("and all of you again")

    # Paused by a word, by the button and by a reaction; Resume and a reply let it go on.
    await ben.say("pause", "dev", thread)
    await ben.wait_for_ephemeral("It pauses before its next step")
    card = await deployment.wait_for_reply("⏸ *Paused*", thread, "dev")
    count = len(deployment.playground.model.requests)
    assert (await ana.click("agent_resume", "dev", card["ts"])).ok
    await deployment.wait_for_reply("▶ *Working*", thread, "dev")
    await deployment.playground.feed.until(
        lambda: len(deployment.playground.model.requests) > count
    )
    assert (await ana.click("agent_pause", "dev", card["ts"])).ok
    await deployment.wait_for_reply("⏸ *Paused*", thread, "dev")
    assert (await ana.click("agent_resume", "dev", card["ts"])).ok
    await deployment.wait_for_reply("▶ *Working*", thread, "dev")
    await ben.react("dev", thread, "double_vertical_bar")
    await deployment.wait_for_reply("⏸ *Paused*", thread, "dev")
    count = len(deployment.playground.model.requests)
    scenario.let_go()
    await ben.say("go on, and tell me", "dev", thread)
    await deployment.wait_for_reply("go on, and tell me", thread, "dev")
    assert len(deployment.playground.model.requests) == count + 1  # none while it was paused
    await deployment.stop_agent(thread)
