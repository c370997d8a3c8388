"""Lets the process die before or after a chosen outside call or durable write; for tests only.

`CRASH_AT=runtime.start.after:2` kills the process by SIGKILL when that point is passed for the
second time. `CRASH_AT=?PATH` kills nothing and appends the name of each point passed to a file.
A transaction's points bear the name of the function that writes: `store.transaction(f).before`.
"""

import functools
import inspect
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")


class CrashPoints:
    """The crash points of this process; with an empty `crash_at` parts stay as they are."""

    def __init__(self, crash_at: str) -> None:
        self._record = Path(crash_at[1:]) if crash_at.startswith("?") else None
        name, _, count = crash_at.partition(":")
        self._name = name
        self._count = int(count or 1)
        self._passed: Counter[str] = Counter()
        self._active = bool(crash_at)

    def reach(self, name: str) -> None:
        """Passes the point; may not return."""
        self._passed[name] += 1
        if self._record is not None:
            with self._record.open("a") as file:
                file.write(f"{name}\n")
        elif name == self._name and self._passed[name] == self._count:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, label: str, part: T) -> T:
        """Returns the part with a point before and after each of its asynchronous calls."""
        return cast("T", _PartWithPoints(self, label, part)) if self._active else part


class _PartWithPoints:
    """Replaces a part; only its asynchronous functions pass points."""

    def __init__(self, points: CrashPoints, label: str, part: object) -> None:
        self._points = points
        self._label = label
        self._part = part

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  (whatever the part has)
        attribute = getattr(self._part, name)
        label = f"{self._label}.{name}"
        if name == "transaction":
            return functools.partial(self._named_transaction, attribute, label)
        if inspect.iscoroutinefunction(attribute):
            return functools.partial(self._call, attribute, label)
        return attribute

    async def _call(self, function: Callable[..., Any], label: str, *a: Any, **k: Any) -> Any:  # noqa: ANN401
        self._points.reach(f"{label}.before")
        result = await function(*a, **k)
        self._points.reach(f"{label}.after")
        return result

    def _named_transaction(
        self, function: Callable[[], AbstractAsyncContextManager[Any]], label: str
    ) -> AbstractAsyncContextManager[Any]:
        """Many places write in transactions, so each is named after the function that it is in.

        A context manager that opens one for many functions names the one that enters it.
        """
        writer = sys._getframe(1)  # noqa: SLF001  (the name exists only here)
        while (enter := writer.f_back) and enter.f_code.co_name == "__aenter__" and enter.f_back:
            writer = enter.f_back
        return self._transaction(function, f"{label}({writer.f_code.co_qualname})")

    @asynccontextmanager
    async def _transaction(
        self, function: Callable[[], AbstractAsyncContextManager[Any]], label: str
    ) -> AsyncIterator[Any]:
        async with function() as transaction:
            yield transaction
            self._points.reach(f"{label}.before")
        self._points.reach(f"{label}.after")
