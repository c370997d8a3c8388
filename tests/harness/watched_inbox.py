"""The real inbox on a stage, which tells when a listener has ended."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec

from bot.slack.inbox import Inbox
from playground.slack.slack_workspace import SlackWorkspace
from tests.harness.app import Stage

P = ParamSpec("P")


class WatchedInbox(Inbox):
    """Wakes whoever looks at the stage's changes."""

    def __init__(
        self, stage: Stage, urgent: Callable[[Mapping[str, Any]], bool] = lambda _: False
    ) -> None:
        super().__init__(stage.store.inbox_rows, urgent)
        self._stage = stage

    def finishes(self, listener: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        finishing = super().finishes(listener)

        @functools.wraps(listener)
        async def telling(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                await finishing(*args, **kwargs)
            finally:
                self._stage.changes.tell()

        return telling


async def settled(stage: Stage, slack: SlackWorkspace) -> None:
    """Wait until every event is delivered and every listener has ended."""
    await slack.delivery.idle()

    async def look() -> bool | None:
        return None if await stage.store.inbox_rows.unfinished() else True

    await stage.changes.found(look)
