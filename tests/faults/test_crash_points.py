"""The bot dies at each of its named crash points in turn; no thread shows a trace of it.

A first life writes down which points a story passes. Then the story is told again and again, by
bots that each die at the next point of their list, until every point has ended one life.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from playground.model.conversation import Call, Conversation, Turn
from playground.model.server import ModelSettings
from playground.model.stories import RIGHT_LINE, SOURCE_FILE, WRONG_LINE, Stories
from playground.server import PlaygroundSettings, running
from playground.slack.settings import SlackSettings
from tests.e2e.conftest import Bot, Stage, environment_of
from tests.faults.conftest import QUICK
from tests.faults.ledger import ledger

pytestmark = [pytest.mark.docker, pytest.mark.asyncio]

LANES = 2
# Three inputs make a story, and an input that ends three lives is given up.
DEATHS_A_STORY = 6
# What no story has reached in the first round is tried again, with fewer deaths around it.
ROUNDS = (DEATHS_A_STORY, 3, 1, 1)
FEWEST_POINTS = 100
LONGEST_STORY_SECONDS = 90.0
BEHIND_THE_STORY_SECONDS = 3.0
REPLY = "and mind the docs"
SLACK = SlackSettings(limits_enabled=False, retry_delays_seconds=(0.0, *(1.0,) * 600))


def edited(conversation: Conversation) -> Turn:
    """One edit, one look at it, and the answer."""
    edit = {"path": SOURCE_FILE, "old_text": WRONG_LINE, "new_text": RIGHT_LINE}
    calls = (Call("edit_file", edit), Call("git_diff", {}))
    if conversation.turn < len(calls):
        return Turn("One thing after the other.", (calls[conversation.turn],))
    return Turn("It is edited.")


def minded(conversation: Conversation) -> Turn:
    """The answer to the reply."""
    return Turn("Noted: the docs are minded.")


def _tell(stories: Stories) -> None:
    stories.add("edited", edited, lambda c: "edit once" in c.task.text)
    stories.add("minded", minded, lambda c: c.task.text == REPLY)


@asynccontextmanager
async def _lane(folder: Path) -> AsyncIterator[Stage]:
    """A workspace and a bot that nobody has started yet."""
    folder.mkdir()
    model = ModelSettings(chunk_delay_seconds=0.01)
    async with running(PlaygroundSettings(model=model, slack=SLACK)) as playground:
        _tell(playground.model.stories)
        bot = Bot(environment_of(playground, folder) | QUICK, folder)
        try:
            yield Stage(playground, bot)
        finally:
            if bot.process is not None:
                await bot.end(signal.SIGKILL)
                bot.clean_up()


@pytest.mark.timeout(900)
async def test_a_death_at_each_crash_point_leaves_every_thread_complete_in_order_and_nothing_twice(
    engine: None, tmp_path: Path
) -> None:
    async with _lane(tmp_path / "record") as stage:
        points = await _recorded(stage, tmp_path / "points")
    assert len(points) >= FEWEST_POINTS, points
    left = points
    for attempt, deaths in enumerate(ROUNDS):
        count = -(-len(left) // deaths)
        stories = iter([left[n::count] for n in range(count)])
        walked: set[str] = set()
        async with asyncio.TaskGroup() as lanes:
            for lane in range(LANES):
                folder = tmp_path / f"{attempt}.{lane}"
                lanes.create_task(_walk(folder, stories, walked.update))
        left = [point for point in left if point not in walked]
        print(f"{len(points)} points, not walked yet: {left}")  # noqa: T201  (if it fails)
        if not left:
            return
    pytest.fail(f"No life ended at {left}")


async def _walk(
    folder: Path, stories: Iterator[list[str]], walked: Callable[[list[str]], None]
) -> None:
    """One lane takes the next story until there is none."""
    async with _lane(folder) as stage:
        for number, points in enumerate(stories):
            walked(await _story_with_deaths(stage, number, points))


async def _recorded(stage: Stage, path: Path) -> list[str]:
    """The points that the story passes, each once, in the order of their first time."""
    stage.bot.environment["CRASH_AT"] = f"?{path}"
    await stage.bot.start()
    await _story(stage, 0)
    await stage.bot.end()
    return list(dict.fromkeys(path.read_text().split("\n")[:-1]))


async def _story_with_deaths(stage: Stage, number: int, points: list[str]) -> list[str]:
    """One story, through as many deaths as come about; which points they were."""
    deaths: list[str] = []
    keeper = asyncio.create_task(_keep_alive(stage.bot, points, deaths))
    try:
        async with asyncio.timeout(LONGEST_STORY_SECONDS):
            thread = await _story(stage, number)
            # The last points lie behind what people see.
            await asyncio.wait([keeper], timeout=BEHIND_THE_STORY_SECONDS)
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
    if keeper.done() and not keeper.cancelled():
        keeper.result()
    await _rest(stage, thread)
    return deaths


async def _keep_alive(bot: Bot, points: list[str], deaths: list[str]) -> None:
    """Give the bot one life for each point, and a last one without any."""
    for point in points:
        bot.environment["CRASH_AT"] = point
        await bot.spawn()
        assert bot.process is not None
        assert await bot.process.wait() == -signal.SIGKILL, bot.log[-5:]
        deaths.append(point)
    bot.environment["CRASH_AT"] = ""
    await bot.start()


async def _story(stage: Stage, number: int) -> str:
    """A start, a reply and a stop, each sent when the one before has its answer.

    It ends when the stop's patch is in the thread; each life goes on until its point or this.
    """
    ana = stage.person("ana")
    thread = await ana.say(f"demo/todo edit once, {number}", "dev", mention=True)
    await stage.said("It is edited.", thread, "dev", seconds=LONGEST_STORY_SECONDS)
    await ana.say(REPLY, "dev", thread)
    await stage.said("the docs are minded", thread, "dev", seconds=LONGEST_STORY_SECONDS)
    await ana.say("stop", "dev", thread)
    await stage.said("Stopped by", thread, "dev", seconds=LONGEST_STORY_SECONDS)
    await stage.playground.feed.until(
        lambda: [m for m in ana.thread("dev", thread) if m.get("files")] or None,
        LONGEST_STORY_SECONDS,
    )
    return thread


async def _rest(stage: Stage, thread: str) -> None:
    """A whole life after the deaths; then what is stored and what is shown must agree."""
    bot = stage.bot
    bot.environment["CRASH_AT"] = ""
    await bot.end(signal.SIGKILL)
    await bot.start()
    await stage.no_containers()
    async with asyncio.timeout(20):
        while await asyncio.to_thread(bot.volumes):
            await asyncio.sleep(0.1)  # the engine has no event that this client could await
    await bot.end()
    found = ledger(stage, thread, "dev")
    found.check()
    ended = [event for event in found.events if event["type"] == "task_finished"]
    assert [event["outcome"] for event in ended] == ["completed", "completed"]
    said = [m["text"] + str(m.get("blocks")) for m in found.shown]
    order = [
        next(n for n, text in enumerate(said) if words in text)
        for words in ("It is edited.", "the docs are minded", "Stopped by")
    ]
    assert order == sorted(order)
    for words in ("It is edited.", "the docs are minded", "Stopped by"):
        assert len([text for text in said if words in text]) == 1, said
