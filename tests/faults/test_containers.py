"""Containers killed, removed, emptied, put to sleep: the thread is told, nothing is lost."""

import asyncio

import pytest

from tests.e2e.conftest import Deployment, Json, docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(155),
]

TASK = "demo/todo fix the failing test"


async def started(deployment: Deployment, until: str, task: str = TASK) -> tuple[str, str]:
    """An agent of its own; returns its thread and its container once the thread says `until`."""
    ana = deployment.person("ana")
    thread = await ana.say(task, "dev", mention=True)
    await deployment.wait_for_reply(until, thread, "dev")
    [container] = deployment.bot.containers()
    return thread, container


async def ended(deployment: Deployment, thread: str) -> None:
    await deployment.person("ana").say("stop", "dev", thread)
    await deployment.wait_for_reply("Stopped by", thread, "dev")
    await deployment.no_containers()


async def looked_back(deployment: Deployment, thread: str, after: str = "") -> Json:
    """The next task, which says what it knows of the first one and what the checkout shows."""
    await deployment.person("ana").say("what did you change?", "dev", thread)
    return await deployment.wait_for_reply("The checkout now", thread, "dev", after=after)


async def test_a_killed_container_is_started_again_and_the_thread_says_why(
    deployment: Deployment, leftovers: None
) -> None:
    thread, container = await started(deployment, "✓ list")
    docker("kill", container)
    told = await deployment.wait_for_reply("was killed and was started again", thread, "dev")
    assert "go on" in told["text"]
    assert deployment.bot.containers() == [container]
    await deployment.person("ana").say("go on", "dev", thread)
    await deployment.wait_for_reply("all pass", thread, "dev")
    heard = [m["content"] for m in deployment.playground.model.requests[-1].messages]
    assert any("fix the failing test" in str(content) for content in heard)
    await ended(deployment, thread)


async def test_a_container_that_ends_twice_within_a_minute_stays_down_until_a_person_says_so(
    deployment: Deployment, leftovers: None
) -> None:
    thread, container = await started(deployment, "✓ list")
    docker("kill", container)
    await deployment.wait_for_reply("was started again", thread, "dev")
    await deployment.person("ana").say("fix the failing test", "dev", thread)
    await deployment.wait_for_reply("▶ *Working*", thread, "dev")
    docker("kill", container)
    await deployment.wait_for_reply("twice within a minute", thread, "dev")
    await deployment.no_containers()
    assert len(deployment.bot.volumes()) == 2
    await deployment.person("ana").say("Restart", "dev", thread)
    await deployment.wait_for_reply("Restarted", thread, "dev")
    await deployment.person("ana").say("go on", "dev", thread)
    await deployment.wait_for_reply("all pass", thread, "dev")
    await ended(deployment, thread)


async def test_a_removed_container_keeps_its_files_and_goes_on_when_asked_to(
    deployment: Deployment, leftovers: None
) -> None:
    thread, container = await started(deployment, "all pass")
    docker("rm", "--force", container)
    await deployment.wait_for_reply("its files are still there", thread, "dev")
    await deployment.person("ana").say("hello?", "dev", thread)
    await deployment.wait_for_reply('Reply "restart"', thread, "dev")
    await deployment.person("ana").say("restart", "dev", thread)
    await deployment.wait_for_reply("Restarted", thread, "dev")
    assert deployment.bot.containers() != [container]
    answer = await looked_back(deployment, thread)
    assert "M todo/items.py" in answer["blocks"][0]["text"]
    await ended(deployment, thread)


async def test_a_container_lost_with_its_volumes_is_made_again_from_what_the_host_kept(
    deployment: Deployment, leftovers: None
) -> None:
    thread, container = await started(deployment, "all pass")
    await deployment.wait_for_reply("✓ *Task 1*", thread, "dev")
    await deployment.bot.says("state kept")
    docker("rm", "--force", container)
    docker("volume", "rm", *deployment.bot.volumes())
    await deployment.wait_for_reply("container of this agent is gone", thread, "dev")
    await deployment.person("ana").say("restart", "dev", thread)
    await deployment.wait_for_reply("Restarted", thread, "dev")
    answer = await looked_back(deployment, thread)
    assert "fix the failing test" in answer["blocks"][0]["text"]
    assert "M todo/items.py" in answer["blocks"][0]["text"]
    await ended(deployment, thread)


async def test_a_stopped_agent_goes_on_from_the_middle_of_its_task(
    deployment: Deployment, leftovers: None
) -> None:
    task = "demo/todo --model scripted/edit-then-wait mend it"
    thread, _ = await started(deployment, "⋯ run", task)
    await ended(deployment, thread)
    assert deployment.bot.volumes() == []
    await deployment.person("ana").say("restart", "dev", thread)
    back = await deployment.wait_for_reply("Restarted", thread, "dev")
    [container] = deployment.bot.containers()
    assert "due < today" in docker(
        "exec", "--user=10002", container, "git", "-C", "/workspace", "diff"
    )
    await deployment.person("ana").react("dev", back["ts"], "octagonal_sign")
    await deployment.wait_for_reply("Stopped by", thread, "dev", after=back["ts"])
    await deployment.no_containers()


async def test_an_idle_container_that_dies_sleeps_until_a_reply(
    deployment: Deployment, leftovers: None
) -> None:
    thread, container = await started(deployment, "all pass")
    docker("kill", container)
    await deployment.wait_for_reply("A reply wakes it", thread, "dev")
    answer = await looked_back(deployment, thread)
    assert "M todo/items.py" in answer["blocks"][0]["text"]
    assert deployment.bot.containers() == [container]
    await ended(deployment, thread)


async def test_an_idle_agent_sleeps_and_a_reply_wakes_the_same_container(
    deployment: Deployment, leftovers: None
) -> None:
    await deployment.bot.end()
    deployment.bot.environment["SLEEP_AFTER_SECONDS"] = "1"
    await deployment.bot.start()
    try:
        thread, container = await started(deployment, "all pass")
        await deployment.bot.says("goes to sleep")
        await asyncio.to_thread(docker, "wait", container)
        await looked_back(deployment, thread)
        assert deployment.bot.containers() == [container]
        await ended(deployment, thread)
    finally:
        await deployment.bot.end()
        deployment.bot.environment["SLEEP_AFTER_SECONDS"] = "3600"
        await deployment.bot.start()


async def test_a_container_that_is_taken_away_in_its_sleep_is_told_of_at_once(
    deployment: Deployment, leftovers: None
) -> None:
    await deployment.bot.end()
    quick = {"SLEEP_AFTER_SECONDS": "1"}
    before = {name: deployment.bot.environment[name] for name in (*quick, "RECONCILE_SECONDS")}
    deployment.bot.environment.update(quick)
    await deployment.bot.start()
    try:
        thread, container = await started(deployment, "all pass")
        await deployment.bot.says("goes to sleep")
        await asyncio.to_thread(docker, "wait", container)
        await deployment.bot.end()
        # The interval alone would take far longer than the test waits.
        deployment.bot.environment["RECONCILE_SECONDS"] = "300"
        await deployment.bot.start()
        docker("rm", "--force", container)
        await deployment.wait_for_reply("its files are still there", thread, "dev", seconds=5)
        await deployment.person("ana").say("restart", "dev", thread)
        await deployment.wait_for_reply("Restarted", thread, "dev")
        await ended(deployment, thread)
    finally:
        await deployment.bot.end()
        deployment.bot.environment.update(before)
        await deployment.bot.start()
