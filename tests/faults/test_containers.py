"""Containers killed, removed, emptied, put to sleep: the thread is told, nothing is lost."""

import asyncio

import pytest

from tests.e2e.conftest import Json, Stage, docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(155),
]

TASK = "demo/todo fix the failing test"


async def started(stage: Stage, until: str, task: str = TASK) -> tuple[str, str]:
    """An agent of its own; returns its thread and its container once the thread says `until`."""
    ana = stage.person("ana")
    thread = await ana.say(task, "dev", mention=True)
    await stage.said(until, thread, "dev")
    [container] = stage.bot.containers()
    return thread, container


async def ended(stage: Stage, thread: str) -> None:
    await stage.person("ana").say("stop", "dev", thread)
    await stage.said("Stopped by", thread, "dev")
    await stage.no_containers()


async def looked_back(stage: Stage, thread: str, after: str = "") -> Json:
    """The next task, which says what it knows of the first one and what the checkout shows."""
    await stage.person("ana").say("what did you change?", "dev", thread)
    return await stage.said("The checkout now", thread, "dev", after=after)


async def test_a_killed_container_is_started_again_and_the_thread_says_why(
    stage: Stage, leftovers: None
) -> None:
    thread, container = await started(stage, "✓ list")
    docker("kill", container)
    told = await stage.said("was killed and was started again", thread, "dev")
    assert "go on" in told["text"]
    assert stage.bot.containers() == [container]
    await stage.person("ana").say("go on", "dev", thread)
    await stage.said("all pass", thread, "dev")
    heard = [m["content"] for m in stage.playground.model.requests[-1].messages]
    assert any("fix the failing test" in str(content) for content in heard)
    await ended(stage, thread)


async def test_a_container_that_ends_twice_within_a_minute_stays_down_until_a_person_says_so(
    stage: Stage, leftovers: None
) -> None:
    thread, container = await started(stage, "✓ list")
    docker("kill", container)
    await stage.said("was started again", thread, "dev")
    await stage.person("ana").say("fix the failing test", "dev", thread)
    await stage.said("▶ *Working*", thread, "dev")
    docker("kill", container)
    await stage.said("twice within a minute", thread, "dev")
    await stage.no_containers()
    assert len(stage.bot.volumes()) == 2
    await stage.person("ana").say("Restart", "dev", thread)
    await stage.said("Restarted", thread, "dev")
    await stage.person("ana").say("go on", "dev", thread)
    await stage.said("all pass", thread, "dev")
    await ended(stage, thread)


async def test_a_removed_container_keeps_its_files_and_goes_on_when_asked_to(
    stage: Stage, leftovers: None
) -> None:
    thread, container = await started(stage, "all pass")
    docker("rm", "--force", container)
    await stage.said("its files are still there", thread, "dev")
    await stage.person("ana").say("hello?", "dev", thread)
    await stage.said('Reply "restart"', thread, "dev")
    await stage.person("ana").say("restart", "dev", thread)
    await stage.said("Restarted", thread, "dev")
    assert stage.bot.containers() != [container]
    answer = await looked_back(stage, thread)
    assert "M todo/items.py" in answer["blocks"][0]["text"]
    await ended(stage, thread)


async def test_a_container_lost_with_its_volumes_is_made_again_from_what_the_host_kept(
    stage: Stage, leftovers: None
) -> None:
    thread, container = await started(stage, "all pass")
    await stage.said("✓ *Task 1*", thread, "dev")
    await stage.bot.says("state kept")
    docker("rm", "--force", container)
    docker("volume", "rm", *stage.bot.volumes())
    await stage.said("container of this agent is gone", thread, "dev")
    await stage.person("ana").say("restart", "dev", thread)
    await stage.said("Restarted", thread, "dev")
    answer = await looked_back(stage, thread)
    assert "fix the failing test" in answer["blocks"][0]["text"]
    assert "M todo/items.py" in answer["blocks"][0]["text"]
    await ended(stage, thread)


async def test_a_stopped_agent_goes_on_from_the_middle_of_its_task(
    stage: Stage, leftovers: None
) -> None:
    task = "demo/todo --model scripted/edit-then-wait mend it"
    thread, _ = await started(stage, "⋯ run", task)
    await ended(stage, thread)
    assert stage.bot.volumes() == []
    await stage.person("ana").say("restart", "dev", thread)
    back = await stage.said("Restarted", thread, "dev")
    [container] = stage.bot.containers()
    assert "due < today" in docker(
        "exec", "--user=10002", container, "git", "-C", "/workspace", "diff"
    )
    await stage.person("ana").react("dev", back["ts"], "octagonal_sign")
    await stage.said("Stopped by", thread, "dev", after=back["ts"])
    await stage.no_containers()


async def test_an_idle_container_that_dies_sleeps_until_a_reply(
    stage: Stage, leftovers: None
) -> None:
    thread, container = await started(stage, "all pass")
    docker("kill", container)
    await stage.said("A reply wakes it", thread, "dev")
    answer = await looked_back(stage, thread)
    assert "M todo/items.py" in answer["blocks"][0]["text"]
    assert stage.bot.containers() == [container]
    await ended(stage, thread)


async def test_an_idle_agent_sleeps_and_a_reply_wakes_the_same_container(
    stage: Stage, leftovers: None
) -> None:
    await stage.bot.end()
    stage.bot.environment["SLEEP_AFTER_SECONDS"] = "1"
    await stage.bot.start()
    try:
        thread, container = await started(stage, "all pass")
        await stage.bot.says("goes to sleep")
        await asyncio.to_thread(docker, "wait", container)
        await looked_back(stage, thread)
        assert stage.bot.containers() == [container]
        await ended(stage, thread)
    finally:
        await stage.bot.end()
        stage.bot.environment["SLEEP_AFTER_SECONDS"] = "3600"
        await stage.bot.start()


async def test_a_container_that_is_taken_away_in_its_sleep_is_told_of_at_once(
    stage: Stage, leftovers: None
) -> None:
    await stage.bot.end()
    quick = {"SLEEP_AFTER_SECONDS": "1"}
    before = {name: stage.bot.environment[name] for name in (*quick, "RECONCILE_SECONDS")}
    stage.bot.environment.update(quick)
    await stage.bot.start()
    try:
        thread, container = await started(stage, "all pass")
        await stage.bot.says("goes to sleep")
        await asyncio.to_thread(docker, "wait", container)
        await stage.bot.end()
        # The interval alone would take far longer than the test waits.
        stage.bot.environment["RECONCILE_SECONDS"] = "300"
        await stage.bot.start()
        docker("rm", "--force", container)
        await stage.said("its files are still there", thread, "dev", seconds=5)
        await stage.person("ana").say("restart", "dev", thread)
        await stage.said("Restarted", thread, "dev")
        await ended(stage, thread)
    finally:
        await stage.bot.end()
        stage.bot.environment.update(before)
        await stage.bot.start()
