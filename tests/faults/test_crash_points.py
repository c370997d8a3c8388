"""The bot dies at each of its named crash points in turn; no thread shows a trace of it.

A first life writes down which points each tale passes. Then the tales are told again and again, by
bots that each die at the next point of their list, until every point has ended one life.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from playground.slack.slack_settings import SlackSettings
from tests.e2e.conftest import Bot, Deployment, environment_of
from tests.faults.conftest import QUICK
from tests.faults.forked_bot import ForkedBot, bot_forks
from tests.faults.ledger import ledger
from tests.faults.scenarios import CHANNEL, SCENARIOS, CrashScenario, add_scenarios

pytestmark = [pytest.mark.docker, pytest.mark.asyncio, pytest.mark.slow(230)]

LANES = 2
# A tale has three inputs or more, and an input that ends three lives is given up.
DEATHS_PER_SCENARIO = 6
# What no life has reached in the first round is tried again, with fewer deaths around it.
ROUNDS = (DEATHS_PER_SCENARIO, 3, 1, 1)
FEWEST_POINTS = 120
LONGEST_SCENARIO_SECONDS = 120.0
AFTER_SCENARIO_SECONDS = 3.0
SLACK = SlackSettings(limits_enabled=False, retry_delays_seconds=(0.0, *(1.0,) * 600))

Plan = tuple[CrashScenario, list[str]]


@asynccontextmanager
async def _lane(folder: Path) -> AsyncIterator[Deployment]:
    """A workspace and a bot that nobody has started yet."""
    folder.mkdir()
    model = ModelSettings(chunk_delay_seconds=0.01)
    async with (
        running(PlaygroundSettings(model=model, slack=SLACK)) as playground,
        bot_forks() as forks,
    ):
        add_scenarios(playground.model.scenarios)
        bot = ForkedBot(environment_of(playground, folder) | QUICK, folder, forks=forks)
        try:
            yield Deployment(playground, bot)
        finally:
            if bot.process is not None:
                await bot.end(signal.SIGKILL)
                bot.clean_up()


@pytest.mark.timeout(900)
async def test_a_death_at_each_crash_point_leaves_every_thread_complete_in_order_and_nothing_twice(
    engine: None, tmp_path: Path
) -> None:
    async with _lane(tmp_path / "record") as deployment:
        left = await _recorded(deployment, tmp_path / "points")
    assert sum(len(points) for _, points in left) >= FEWEST_POINTS, left
    missing = ["all"]
    for attempt, deaths in enumerate(ROUNDS):
        plans = iter(
            [plan for scenario, points in left for plan in _parted(scenario, points, deaths)]
        )
        walked: set[str] = set()
        async with asyncio.TaskGroup() as lanes:
            for lane in range(LANES):
                folder = tmp_path / f"{attempt}.{lane}"
                lanes.create_task(_walk(folder, plans, walked.update))
        left = [
            (scenario, [one for one in points if one not in walked]) for scenario, points in left
        ]
        missing = [point for _, points in left for point in points]
        print(f"{len(walked)} lives ended, not yet at {missing}")  # noqa: T201  (if it fails)
        if not missing:
            return
    pytest.fail(f"No life ended at {missing}")


def _parted(scenario: CrashScenario, points: list[str], deaths: int) -> list[Plan]:
    """Several tellings, each with some of the points, far from each other and in their order."""
    count = -(-len(points) // deaths)
    return [(scenario, points[n::count]) for n in range(count)]


async def _recorded(deployment: Deployment, path: Path) -> list[Plan]:
    """The points that each tale passes and no one before it, in the order of their first time."""
    deployment.bot.environment["CRASH_AT"] = f"?{path}"
    plans: list[Plan] = []
    known: set[str] = set()
    for scenario in SCENARIOS:
        await deployment.bot.start()
        await scenario.run(deployment, 0)
        # What lies behind the last that people see is passed by now, and belongs to this tale.
        await deployment.bot.end()
        passed = list(dict.fromkeys(path.read_text().split("\n")[:-1]))
        plans.append((scenario, [point for point in passed if point not in known]))
        known.update(passed)
    return plans


async def _walk(folder: Path, plans: Iterator[Plan], walked: Callable[[list[str]], None]) -> None:
    """One lane takes the next telling until there is none."""
    async with _lane(folder) as deployment:
        for number, (scenario, points) in enumerate(plans):
            walked(await _run_through_deaths(deployment, number, scenario, points))


async def _run_through_deaths(
    deployment: Deployment, number: int, scenario: CrashScenario, points: list[str]
) -> list[str]:
    """One tale, through as many deaths as come about; which points they were."""
    deaths: list[str] = []
    keeper = asyncio.create_task(_keep_alive(deployment.bot, points, deaths))
    try:
        async with asyncio.timeout(LONGEST_SCENARIO_SECONDS):
            thread = await scenario.run(deployment, number)
        # The last points lie behind what people see.
        await asyncio.wait([keeper], timeout=AFTER_SCENARIO_SECONDS)
    finally:
        keeper.cancel()
        await asyncio.wait([keeper])
    if not keeper.cancelled():
        keeper.result()
    await _rested(deployment)
    scenario.check(ledger(deployment, thread, CHANNEL))
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


async def _rested(deployment: Deployment) -> None:
    """A whole life after the deaths, in which what is left to do is done."""
    bot = deployment.bot
    bot.environment["CRASH_AT"] = ""
    await bot.end(signal.SIGKILL)
    await bot.start()
    await deployment.no_containers()
    async with asyncio.timeout(20):
        while await asyncio.to_thread(bot.volumes):
            await asyncio.sleep(0.1)  # the engine has no event that this client could await
    await bot.end()
