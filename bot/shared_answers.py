"""Asks the network once for all callers that want the same answer at the same time.

Behind a lock they would ask one after the other, and with a silent host the last caller would
wait for every other caller's deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedAnswers(Generic[K, T]):
    """Shares the requests under way, by key; each caller keeps the answer itself."""

    def __init__(self) -> None:
        self._asked: dict[K, asyncio.Future[T]] = {}

    async def get(self, key: K, ask: Callable[[], Awaitable[T]]) -> T:
        """Calls `ask`, or waits for a call under way; its error is raised for all of its waiters.

        When the caller that asks is cancelled, the next waiting caller asks anew.
        """
        while asked := self._asked.get(key):
            # asyncio.wait, because awaiting the future would cancel it together with this caller.
            await asyncio.wait([asked])
            if not asked.cancelled():
                return asked.result()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked[key] = answer
        try:
            answer.set_result(await ask())
        except Exception as error:
            answer.set_exception(error)
            answer.exception()  # marks the error as read, since perhaps nobody waits
            raise
        finally:
            answer.cancel()
            del self._asked[key]
        return answer.result()
