"""The real inbox on an app harness, which tells when a listener has ended."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec

from bot.slack.inbox import Inbox
from playground.slack.slack_workspace import SlackWorkspace
from tests.harness.app import AppHarness

P = ParamSpec("P")


class WatchedInbox(Inbox):
    """Wakes whoever looks at the harness's changes."""

    def __init__(
        self, harness: AppHarness, urgent: Callable[[Mapping[str, Any]], bool] = lambda _: False
    ) -> None:
        super().__init__(harness.store.inbox_rows, urgent)
        self._harness = harness

    def finishes(self, listener: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        finishing = super().finishes(listener)

        @functools.wraps(listener)
        async def telling(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                await finishing(*args, **kwargs)
            finally:
                self._harness.changes.tell()

        return telling


async def settled(harness: AppHarness, slack: SlackWorkspace) -> None:
    """Wait until every event is delivered and every listener has ended."""
    await slack.delivery.idle()

    async def look() -> bool | None:
        return None if await harness.store.inbox_rows.unfinished() else True

    await harness.changes.found(look)
