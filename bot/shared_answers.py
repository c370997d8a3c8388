"""Asks the network once for all who want the same answer at a time, and gives it to each of them.

Behind a lock they would ask one after the other, and a silent host would cost the last of them
everybody's deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedAnswers(Generic[K, T]):
    """Answers that are on their way, by key; what has arrived is its caller's to keep."""

    def __init__(self) -> None:
        self._asked: dict[K, asyncio.Future[T]] = {}

    async def get(self, key: K, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, or wait for whoever asks already; raises what `ask` raises, for all alike.

        When the one who asks is cancelled, the next of those who wait asks anew.
        """
        while asked := self._asked.get(key):
            # It waits, and does not await the future: its own cancellation must stay its own.
            await asyncio.wait([asked])
            if not asked.cancelled():
                return asked.result()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked[key] = answer
        try:
            answer.set_result(await ask())
        except Exception as error:
            answer.set_exception(error)
            answer.exception()  # nobody else may wait for it, which is no mistake
            raise
        finally:
            answer.cancel()
            del self._asked[key]
        return answer.result()
