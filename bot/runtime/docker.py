"""Runs blocking engine calls on a bounded set of threads, each with a deadline."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from bot.domain.container import (
    Container,
    ContainerSpec,
)
from bot.errors import EngineError
from bot.runtime.spec import Deployment
from bot.runtime.survey import Survey
from bot.shared_answers import SharedAnswers

if TYPE_CHECKING:
    from bot.runtime.engine import Engine
    from bot.runtime.events import EngineEvents

T = TypeVar("T")

_THREADS = 8
QUERY_SECONDS = 15.0
START_SECONDS = 60.0
STOP_SECONDS = 30.0
REMOVE_SECONDS = 60.0
MEASURE_SECONDS = 75.0


class DockerRuntime:
    """Implements the Runtime port. Use it as an async context manager, or call `close`.

    `instance` names this deployment: containers of other instances are never seen or touched.
    `address` is the engine's (None: what `DOCKER_HOST` says, or the usual socket).
    """

    def __init__(
        self, instance: str, *, engine_runtime: str = "", address: str | None = None
    ) -> None:
        self._deployment = Deployment(instance, engine_runtime)
        self._address = address
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="engine")
        self._connecting: SharedAnswers[str, Engine] = SharedAnswers()
        self._engine: Engine | None = None
        self._watches: set[EngineEvents] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Lets the running calls end, ends the watches and closes the client."""
        for watch in tuple(self._watches):
            watch.close()
        await asyncio.to_thread(self._pool.shutdown, wait=True, cancel_futures=True)
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    async def check(self, image: str) -> None:
        """Raises EngineError, with the next step, unless containers of `image` could start."""
        engine = await self._connected()
        await self._call("check", QUERY_SECONDS, lambda: engine.check(image))

    async def survey(self, image: str) -> Survey:
        """Returns the survey of the engine and this image; raises EngineError."""
        engine = await self._connected()
        return await self._call("survey", QUERY_SECONDS, lambda: engine.survey(image))

    async def why_not_sealed(self) -> str:
        """Returns why containers here need a network, empty when they do not."""
        engine = await self._connected()
        return await self._call("sealing", QUERY_SECONDS, engine.why_not_sealed)

    async def network_gateway(self) -> str:
        """Returns the host's address on this deployment's network, which is made when missing."""
        engine = await self._connected()
        return await self._call("network", QUERY_SECONDS, engine.network_gateway)

    async def forget_network(self) -> None:
        """Removes this deployment's network if it has no container; it is made again on demand."""
        engine = await self._connected()
        await self._call("network", QUERY_SECONDS, engine.forget_network)

    async def start(self, spec: ContainerSpec) -> Container:
        """Creates and starts the container; one already running from the same spec is returned.

        A leftover container of this agent is replaced, its volumes are kept. Raises EngineError.
        A cancelled or late start removes what it makes, and no more, before it raises.
        """
        engine = await self._connected()
        started = await self._call(
            "start", START_SECONDS, lambda: engine.start(spec), undo=engine.undo
        )
        return started.container

    async def find(self, agent_id: str) -> Container | None:
        """Returns the agent's container, running or not; raises EngineError."""
        engine = await self._connected()
        return await self._call("find", QUERY_SECONDS, lambda: engine.find(agent_id))

    async def list(self) -> Sequence[Container]:
        """Returns all containers of this deployment; raises EngineError."""
        engine = await self._connected()
        return await self._call("list", QUERY_SECONDS, engine.containers)

    async def stop(self, agent_id: str) -> None:
        """Stops the container, killing it after 5 s, and keeps it and its volumes.

        One that is stopped or gone is a success. Raises EngineError.
        """
        engine = await self._connected()
        await self._call("stop", STOP_SECONDS, lambda: engine.stop(agent_id))

    async def resume(self, agent_id: str) -> Container:
        """Starts the stopped container again: files, environment and limits as before, a new port.

        One that runs is returned. Raises EngineError when it is gone, misses its network, or ends
        at once; it is left as it is then. Cancelled or late, it may come to run all the same.
        """
        engine = await self._connected()
        return await self._call("resume", START_SECONDS, lambda: engine.resume(agent_id))

    async def has_files(self, agent_id: str) -> bool:
        """Checks that all volumes of the agent exist; raises EngineError."""
        engine = await self._connected()
        return await self._call("files", QUERY_SECONDS, lambda: engine.has_files(agent_id))

    async def files(self) -> Mapping[str, float]:
        """Returns the agents with volumes, and when the newest was made; raises EngineError."""
        engine = await self._connected()
        return await self._call("volumes", QUERY_SECONDS, engine.files)

    async def disk_usage(self) -> Mapping[str, int]:
        """Returns how many bytes the files of each agent take; raises EngineError."""
        engine = await self._connected()
        return await self._call("disk usage", MEASURE_SECONDS, engine.disk_usage)

    async def remove(self, agent_id: str, *, keep_files: bool = False) -> None:
        """Removes the container, and its volumes unless they are kept; gone is a success."""
        engine = await self._connected()
        await self._call(
            "remove", REMOVE_SECONDS, lambda: engine.remove(agent_id, keep_files=keep_files)
        )

    def watch(self) -> AsyncGenerator[str, None]:
        """Yields ids of agents whose container ended, was removed or ran out of memory.

        A hint to look at once, never the truth: ids may repeat, and are missed while nobody
        watches. Covers what happens after the call. Ends, or raises EngineError, when the engine
        goes away; ends when the runtime is closed.
        """
        return self._watch(int(time.time()))

    async def _watch(self, since: int) -> AsyncGenerator[str, None]:
        engine = await self._connected()
        watch = engine.watch(since)
        self._watches.add(watch)
        try:
            async with contextlib.aclosing(watch.agent_ids()) as agent_ids:
                async for agent_id in agent_ids:
                    yield agent_id
        finally:
            self._watches.discard(watch)

    async def _connected(self) -> "Engine":
        return self._engine or await self._connecting.get("engine", self._connect)

    async def _connect(self) -> "Engine":
        self._engine = await self._call("connect", QUERY_SECONDS, self._connect_engine)
        return self._engine

    def _connect_engine(self) -> "Engine":
        # Imported on the thread: the SDK takes 0.15 s, which neither start-up nor the loop has.
        from bot.runtime.engine import Engine

        timeout = int(QUERY_SECONDS)
        return Engine.connect(self._deployment, self._address, timeout, _THREADS)

    async def _call(
        self,
        name: str,
        seconds: float,
        function: Callable[[], T],
        undo: Callable[[T], None] | None = None,
    ) -> T:
        """Runs `function` on a thread; once nobody waits any more, `undo` takes its result."""
        future = self._pool.submit(function)
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.wrap_future(future)
        except (TimeoutError, asyncio.CancelledError) as error:
            if undo is not None and not future.cancel():
                await self._undone(future, undo)
            if isinstance(error, TimeoutError):
                raise EngineError(
                    "The container engine is too slow. Try again in a minute, or ask an admin.",
                    f"{name}: no answer in {seconds:.0f} s",
                ) from error
            raise

    async def _undone(self, future: Future[T], undo: Callable[[T], None]) -> None:
        """Waits for the abandoned call and its undoing, for a while, and through cancellation."""

        def follow() -> None:
            if future.exception() is None:
                undo(future.result())

        following = asyncio.wrap_future(self._pool.submit(follow))
        await asyncio.wait([following], timeout=REMOVE_SECONDS)
