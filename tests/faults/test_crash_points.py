"""The bot dies before and after each durable write and outside call, and every thread is whole."""

import asyncio
import signal
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from playground.server import PlaygroundSettings, running
from playground.slack.settings import SlackSettings
from tests.e2e.conftest import READY_SECONDS, Bot, Stage, environment_of
from tests.faults.ledger import ledger

pytestmark = pytest.mark.docker

CHANNEL = "dev"
LANES = 2
# An input that ends the process again and again is given up after three replays.
MOST_DEATHS_A_PHASE = 2
MOST_JOBS_A_POINT = 2
QUICK = {"RECONCILE_SECONDS": "1", "SLEEP_AFTER_SECONDS": "3600"}
# Commands and clicks are sent once; events come again until they are acknowledged.
SLACK = SlackSettings(limits_enabled=False, retry_delays_seconds=(0.0, 1.0, 2.0, 4.0, 8.0, 16.0))


@dataclass
class Walk:
    """The points still to die at; each lane takes the next one in the order of the job."""

    points: deque[str]
    jobs: Counter[str] = field(default_factory=Counter)
    died_at: list[str] = field(default_factory=list)
    never_passed: list[str] = field(default_factory=list)

    def take(self) -> str:
        return self.points.popleft() if self.points else ""

    def put_back(self, point: str) -> None:
        """This job did not come by; another one may."""
        self.jobs[point] += 1
        if self.jobs[point] < MOST_JOBS_A_POINT:
            self.points.appendleft(point)
        else:
            self.never_passed.append(point)


@dataclass
class Lane:
    """One deployment that does one job after the other, and dies on the way."""

    stage: Stage
    walk: Walk
    point: str = ""
    deaths: int = 0

    async def job(self) -> None:
        """Start by a mention, reply, ask for the patch, stop; then look at what is left."""
        ana, thread = self.stage.person(), ""
        await self._arm()
        thread = await ana.say("demo/todo fix the failing test", CHANNEL, mention=True)
        await self._phase(lambda: self.stage.said("all pass", thread, CHANNEL))
        await self._rearm()
        await ana.say("what did you change?", CHANNEL, thread)
        await self._phase(lambda: self.stage.said("The checkout now", thread, CHANNEL))
        await self._rearm()
        await self._phase(lambda: self._patch(thread))
        await self._rearm()
        await ana.say("stop", CHANNEL, thread)
        await self._phase(lambda: self.stage.said("Stopped by", thread, CHANNEL))
        await self._phase(self.stage.no_containers)
        await self._end()
        if self.point:
            self.walk.put_back(self.point)
            self.point = ""
        found = ledger(self.stage, thread, CHANNEL)
        found.check()
        assert [e["type"] for e in found.events].count("task_finished") == 2
        assert len([k for k in found.posts if k.startswith("answer:")]) == 2
        assert len([k for k in found.posts if k.startswith("stopped:")]) == 1
        assert self.stage.bot.volumes() == []

    async def _end(self) -> None:
        """End the bot politely, which sends what is left; one that dies of it comes back once."""
        bot = self.stage.bot
        await bot.end()
        assert bot.process is not None
        if bot.process.returncode == -signal.SIGKILL:
            self.walk.died_at.append(self.point)
            self.point = bot.environment["CRASH_AT"] = ""
            await bot.start()
            await bot.end()

    async def _patch(self, thread: str) -> None:
        """Click until the file is there: a click on a bot that is away fails visibly."""
        ana = self.stage.person()
        sockets = self.stage.playground.slack.socket_mode
        await sockets.connected(timeout_seconds=READY_SECONDS)
        while not (await ana.click("agent_patch", CHANNEL)).ok:
            await sockets.connected(timeout_seconds=READY_SECONDS)
        await self.stage.playground.feed.until(
            lambda: [m for m in ana.thread(CHANNEL, thread) if m.get("files")], 20
        )

    async def _phase(self, goal: Callable[[], Awaitable[object]]) -> None:
        """Reach the goal, however often the bot dies on the way."""
        while not await self._reached(goal):
            self.walk.died_at.append(self.point)
            self.deaths += 1
            self.point = ""
            await self._arm()

    async def _rearm(self) -> None:
        """Before the next thing that the person does: a bot that ends politely does not count."""
        self.deaths = 0
        if not self.point and self.walk.points:
            await self.stage.bot.end()
            await self._arm()

    async def _reached(self, goal: Callable[[], Awaitable[object]]) -> bool:
        """False when the bot died first; what the person does goes on all the same."""
        process = self.stage.bot.process
        assert process is not None
        async with asyncio.TaskGroup() as group:
            dying = group.create_task(process.wait())
            reaching = group.create_task(_awaited(goal()))
            await asyncio.wait({dying, reaching}, return_when=asyncio.FIRST_COMPLETED)
            dying.cancel()
            reaching.cancel()
        if reaching.cancelled():
            await self.stage.bot.end()
            assert process.returncode == -signal.SIGKILL
        return not reaching.cancelled()

    async def _arm(self) -> None:
        """Start the bot with the next point, or with none for the rest of this phase."""
        if self.deaths < MOST_DEATHS_A_PHASE:
            self.point = self.point or self.walk.take()
        self.stage.bot.environment["CRASH_AT"] = self.point
        await self.stage.bot.spawn()


async def _awaited(goal: Awaitable[object]) -> None:
    await goal


@asynccontextmanager
async def deployment(data_dir: Path) -> AsyncIterator[Stage]:
    """A workspace and a bot of its own, which is not started."""
    data_dir.mkdir()
    async with running(PlaygroundSettings(slack=SLACK)) as playground:
        bot = Bot(environment_of(playground, data_dir) | QUICK, data_dir)
        try:
            yield Stage(playground, bot)
        finally:
            await bot.end(signal.SIGKILL)
            left = [*bot.containers(), *bot.volumes()]
            bot.clean_up()
            assert left == []


async def _recorded(data_dir: Path) -> list[str]:
    """The names of all points of one job, in the order in which it passes them."""
    record = data_dir.with_suffix(".points")
    async with deployment(data_dir) as stage:
        await Lane(stage, Walk(deque([f"?{record}"]), never_passed=[])).job()
    return list(dict.fromkeys(record.read_text().splitlines()))


async def _walk(walk: Walk, data_dir: Path) -> None:
    async with deployment(data_dir) as stage:
        while walk.points:
            await Lane(stage, walk).job()


@pytest.mark.timeout(400)
async def test_a_death_at_every_point_leaves_every_thread_complete_and_nothing_twice(
    engine: None, tmp_path: Path
) -> None:
    names = await _recorded(tmp_path / "recorded")
    walk = Walk(deque(names))
    lanes: list[Coroutine[Any, Any, None]] = [
        _walk(walk, tmp_path / f"lane{number}") for number in range(LANES)
    ]
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(lane)
    assert walk.never_passed == []
    assert sorted(walk.died_at) == sorted(names)
    for written in ("inbox.store", "store.transaction", "outbox.begin", "outbox.sent"):
        assert {f"{written}.before", f"{written}.after"} <= set(names)
    for asked in ("runtime.start", "runtime.remove", "bridge.prepare", "bridge.execute"):
        assert {f"{asked}.before", f"{asked}.after"} <= set(names)
    for said in ("slack.chat_postMessage", "slack.files_completeUploadExternal", "bridge.chat"):
        assert {f"{said}.before", f"{said}.after"} <= set(names)
