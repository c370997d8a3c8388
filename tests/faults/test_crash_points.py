"""The bot dies once at every point before and after a durable write or an outside call."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from playground.model.conversation import Call, Conversation, Turn
from playground.model.server import ModelSettings
from playground.model.stories import RIGHT_LINE, SOURCE_FILE, WRONG_LINE
from playground.server import PlaygroundSettings, running
from playground.slack.settings import SlackSettings
from tests.e2e.conftest import READY_SECONDS, Bot, Stage, environment_of
from tests.faults.ledger import ledger

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

QUICK = {"RECONCILE_SECONDS": "1", "SLEEP_AFTER_SECONDS": "3600"}
# Events are delivered again as long as no bot takes them.
SLACK = SlackSettings(limits_enabled=False, retry_delays_seconds=(0.0, *(1.0,) * 600))
REPLY = "and mind the docs"
# An input that has ended three lives is given up: a story has few deaths over each of its inputs.
STRIDE = 6
MOST_STORIES = 16
STORY_SECONDS = 240.0


def edit_once(conversation: Conversation) -> Turn:
    """Edit a file, look at the difference, tell; a reply is answered at once."""
    if conversation.task.text == REPLY:
        return Turn("Noted: the docs are minded.")
    change = {"path": SOURCE_FILE, "old_text": WRONG_LINE, "new_text": RIGHT_LINE}
    steps = (
        Turn("I edit.", (Call("edit_file", change),)),
        Turn("I look.", (Call("git_diff", {"scope": "unstaged"}),)),
    )
    return steps[conversation.turn] if conversation.turn < len(steps) else Turn("It is edited.")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(engine: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A playground, and a bot that nobody has started."""
    settings = PlaygroundSettings(model=ModelSettings(chunk_delay_seconds=0.02), slack=SLACK)
    async with running(settings) as playground:
        playground.model.stories.add("edit-once", edit_once, lambda _conversation: True)
        data_dir: Path = tmp_path_factory.mktemp("data")
        bot = Bot(environment_of(playground, data_dir) | QUICK, data_dir)
        try:
            yield Stage(playground, bot)
        finally:
            await bot.end(signal.SIGKILL)
            bot.clean_up()


@asynccontextmanager
async def dying_at(bot: Bot, points: list[str]) -> AsyncIterator[list[str]]:
    """Let the bot die at these points one after the other, and live on without one.

    Gives those that it has died at, in their order. A life ends at its first pass of a point.
    """
    died: list[str] = []

    async def live() -> None:
        for point in [*points, ""]:
            bot.environment["CRASH_AT"] = point
            await bot.spawn()
            assert bot.process is not None
            ended = await bot.process.wait()
            assert ended == -signal.SIGKILL, (point, ended, bot.log[-5:])
            print(f"died at {point}", flush=True)  # noqa: T201  (shown when it fails)
            died.append(point)

    living = asyncio.create_task(live())
    try:
        yield died
        if living.done():
            living.result()
    finally:
        living.cancel()
        await asyncio.wait([living])
        await bot.end()


async def story(stage: Stage, number: int) -> str:
    """Start, answer, reply, stop, whatever happens to the bot; returns the thread."""
    ana = stage.person("ana")
    thread = await ana.say(f"demo/todo edit once, {number}", "dev", mention=True)
    await stage.said("It is edited.", thread, "dev", seconds=STORY_SECONDS)
    await ana.say(REPLY, "dev", thread)
    await stage.said("Noted: the docs are minded.", thread, "dev", seconds=STORY_SECONDS)
    await ana.say("stop", "dev", thread)
    await stage.said("Stopped by", thread, "dev", seconds=STORY_SECONDS)
    return thread


async def points_of_a_story(stage: Stage, folder: Path) -> tuple[list[str], str]:
    """Every point that a story without deaths passes, in the order of the first passes."""
    record = folder / "points"
    stage.bot.environment["CRASH_AT"] = f"?{record}"
    await stage.bot.start()
    thread = await story(stage, 0)
    await stage.no_containers()
    await stage.bot.end()
    return list(dict.fromkeys(record.read_text().split())), thread


@pytest.mark.timeout(900)
async def test_a_death_at_every_point_leaves_every_thread_complete_and_nothing_behind(
    stage: Stage, leftovers: None, tmp_path: Path
) -> None:
    points, first = await points_of_a_story(stage, tmp_path)
    threads, left = [first], points
    for number in range(1, MOST_STORIES + 1):
        plan = points[number - 1 :: STRIDE] if number <= STRIDE else left[::3]
        async with dying_at(stage.bot, plan) as died:
            threads.append(await story(stage, number))
        print(f"story {number}: {len(died)} deaths", flush=True)  # noqa: T201
        left = [point for point in left if point not in died]
        if not left:
            break
    assert left == [], f"never reached again, of {len(points)} points"

    # What is left to send or to remove is the next life's to do.
    stage.bot.environment["CRASH_AT"] = ""
    await stage.bot.start()
    await stage.no_containers()
    async with asyncio.timeout(READY_SECONDS):
        while await asyncio.to_thread(stage.bot.volumes):
            await asyncio.sleep(0.1)  # the engine has no event that this client could await
    await stage.bot.end()
    for thread in threads:
        found = ledger(stage, thread, "dev")
        found.check()
        ended = [event["outcome"] for event in found.events if event["type"] == "task_finished"]
        assert ended == ["completed", "completed"]
        [edit] = [m for m in found.shown if "It is edited." in str(m.get("blocks"))]
        [note] = [m for m in found.shown if "the docs are minded" in str(m.get("blocks"))]
        [stopped] = [m for m in found.shown if "Stopped by" in m["text"]]
        assert float(edit["ts"]) < float(note["ts"]) < float(stopped["ts"])
