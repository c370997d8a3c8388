"""Owns one asyncio task per agent or loop, so that a bug of one never stops another."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Coroutine

from bot.log_setup import log_scope

logger = logging.getLogger(__name__)

OnCrash = Callable[[str, Exception], Awaitable[None]]


class Supervisor:
    """Starts, finds, cancels and awaits tasks by key; it knows nothing of agents.

    A TaskGroup would cancel the siblings of a task that fails; here the failure is logged,
    handed to `on_crash`, and stays with its key.
    """

    def __init__(self, on_crash: OnCrash, kind: str = "agent") -> None:
        self._on_crash = on_crash
        self._kind = kind
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def spawn(self, key: str, coroutine: Coroutine[None, None, None]) -> None:
        """Runs the coroutine under this key; raises RuntimeError when one runs already.

        Its log lines carry the key, and no ids of whoever called this.
        """
        if self.running(key):
            coroutine.close()
            raise RuntimeError(f"{key} is running already")
        task = asyncio.create_task(
            self._guard(key, coroutine), name=f"{self._kind}-{key}", context=contextvars.Context()
        )
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))
        # A task that is cancelled before its first step never gets to its coroutine.
        task.add_done_callback(lambda _: coroutine.close())

    def running(self, key: str) -> bool:
        """Checks whether a task runs under this key."""
        return key in self._tasks

    async def cancel(self, *keys: str) -> None:
        """Cancels the tasks of these keys (none given: all) and waits until they have ended.

        No task is a success.
        """
        wanted = keys or tuple(self._tasks)
        tasks = [task for key in wanted if (task := self._tasks.get(key))]
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    async def close(self) -> None:
        """Cancels all tasks and waits until they have ended."""
        await self.cancel()

    def _forget(self, key: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]

    async def _guard(self, key: str, coroutine: Coroutine[None, None, None]) -> None:
        with log_scope(**{self._kind: key}):
            try:
                await coroutine
            except Exception as error:  # the last resort of the bot, see the class
                logger.exception("the task of %s failed", key)
                await self._report(key, error)

    async def _report(self, key: str, error: Exception) -> None:
        try:
            await self._on_crash(key, error)
        except Exception:  # reporting must not take the supervisor down either
            logger.exception("the failure of %s could not be reported", key)
