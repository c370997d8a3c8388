"""Reads messages that were missed in agents' threads, after downtime or a cut connection.

Every message goes to the handlers as if Slack had sent it just now; one that was handled
already is claimed and has no second effect. Messages from before the stored cursor are read again
only where their claims are still kept, so nothing depends on the order in which events arrived.

A reaction carries no time. A stop reaction counts when the agent lives, and the message it is on
is newer than the last time the agent was stopped: it was not handled then. One that somebody put
on an older message while nothing was heard is not seen; edits and deletions are not either.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.agent import (
    Agent,
    OwnThread,
)
from bot.errors import BotError
from bot.slack.events import person_message, reaction_name
from bot.slack.handlers.buttons import ButtonHandlers
from bot.slack.handlers.threads import ThreadHandlers
from bot.slack.outbox.delivery import PostRefused, TooFast, meaning
from bot.slack.outbox.rate_limits import Clock, MonotonicClock, RateLimiter, SlackCall, SlackMethod

_log = logging.getLogger(__name__)

# Within this the claims of what was taken up are kept, with an hour to spare.
LONGEST_LOOK_BACK_SECONDS = 23 * 3_600.0
# The clocks of this host and of Slack may differ, and an event may be lost on its way.
MARGIN_SECONDS = 60.0
_AGAIN_AFTER_SECONDS = 60.0
_CALL_TIMEOUT_SECONDS = 30.0
_MOST_TRIES = 5
_MOST_THREADS = 500
_MOST_PAGES = 50
_PAGE = 200
_LARGEST_PAGE = 999

Json = Mapping[str, Any]


# Lists the threads of living agents, then those that ended after a time; newest first each.
ListThreads = Callable[[float, int], Awaitable[Sequence[OwnThread]]]


class Backfill:
    """Reads threads again after `note_missed`; `serve` lives as long as the bot."""

    def __init__(  # noqa: PLR0913  (Slack, its thread's handlers and two clocks)
        self,
        list_threads: ListThreads,
        threads: ThreadHandlers,
        buttons: ButtonHandlers,
        client: AsyncWebClient,
        *,
        bot_user_id: str,
        stop_reaction: str,
        clock: Clock | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._list_threads = list_threads
        self._threads = threads
        self._buttons = buttons
        self._client = client
        self._bot_user_id = bot_user_id
        self._stop_reaction = stop_reaction
        self._clock = clock or MonotonicClock()
        self._wall = wall
        self._limiter = RateLimiter()
        self._since: float | None = None
        self._woken = asyncio.Event()

    def note_missed(self, seconds: float = LONGEST_LOOK_BACK_SECONDS) -> None:
        """Notes that events of the last so many seconds may not have arrived."""
        since = self._wall() - seconds
        self._since = since if self._since is None else min(since, self._since)
        self._woken.set()

    async def serve(self) -> None:
        """Catches up whenever something may have been missed, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            since, self._since = self._since, None
            if since is None or await self._run_whole(since):
                continue
            # What came meanwhile may come a minute later too: Slack is in trouble.
            self.note_missed(self._wall() - since)
            self._woken.clear()
            await self._clock.wait(self._woken, _AGAIN_AFTER_SECONDS)
            self._woken.set()

    async def _run_whole(self, since: float) -> bool:
        try:
            return await self.read_threads(since)
        except Exception:
            self.note_missed(self._wall() - since)  # for whoever serves again
            raise

    async def read_threads(self, since: float) -> bool:
        """Reads every thread from `since` (seconds since the epoch), or its cursor if earlier.

        False when a thread could not be read for a reason that may pass.
        """
        since = max(since, self._wall() - LONGEST_LOOK_BACK_SECONDS)
        try:
            threads = await self._list_threads(since, _MOST_THREADS)
        except BotError as error:
            _log.warning("cannot catch up: %s", error)
            return False
        complete = True
        for thread in threads:
            try:
                await self._read(thread, since)
            except SlackApiError as error:
                _log.warning("cannot read the thread of %s: %s", thread.agent.id, error)
            except (BotError, aiohttp.ClientError, OSError) as error:
                _log.warning("cannot read the thread of %s yet: %s", thread.agent.id, error)
                complete = False
            except Exception:  # noqa: BLE001  (one thread's bug must not hide all the others)
                _log.exception("the thread of %s cannot be read", thread.agent.id)
        _log.info("caught up with %d threads", len(threads))
        return complete

    async def _read(self, thread: OwnThread, since: float) -> None:
        agent = thread.agent
        oldest = _oldest(agent, since)
        stop_by: str | None = None
        async with aclosing(self._messages(agent, oldest)) as messages:
            async for message in messages:
                stop_by = stop_by or self._stopper(thread, message)
                if float(message["ts"]) > float(oldest):
                    await self._hand_over(agent, message)
        if agent.alive and stop_by is not None:
            await self._buttons.stop_agent(agent, stop_by)

    async def _messages(self, agent: Agent, oldest: str) -> AsyncGenerator[Json]:
        """Reads the thread in its order; of one beyond 999 messages, the newest and the first ones.

        A quiet workspace is read every 85 seconds, so most threads must cost one call: the older
        messages are wanted as well, for their reactions.
        """
        first = await self._call(agent, limit=_LARGEST_PAGE)
        if not _next_cursor(first):
            for message in _in_order(first):
                yield message
            return
        async with aclosing(self._replies(agent, oldest=oldest, limit=_PAGE)) as replies:
            async for message in replies:
                yield message
        if agent.alive:
            for message in _in_order(first):
                if float(message["ts"]) <= float(oldest):
                    yield message

    async def _hand_over(self, agent: Agent, message: Json) -> None:
        where = {"channel": agent.channel, "thread_ts": agent.thread_ts}
        read = person_message({"team_id": agent.team}, {**message, **where}, self._bot_user_id)
        if read is not None and read.thread_ts is not None:
            await self._threads.take_message(read, mention_event=False)

    def _stopper(self, thread: OwnThread, message: Json) -> str | None:
        """Returns who put a stop reaction on this message that was not handled."""
        agent = thread.agent
        begun = float(_beginning(agent)) - MARGIN_SECONDS
        if float(message["ts"]) <= max(thread.stopped_at, begun):
            return None
        for reaction in message.get("reactions") or ():
            if reaction_name(str(reaction.get("name"))) == self._stop_reaction:
                people = (user for user in reaction.get("users") or ())
                return next((str(user) for user in people if user != self._bot_user_id), None)
        return None

    async def _replies(
        self,
        agent: Agent,
        **asked: Any,  # noqa: ANN401  (arguments of Slack's method)
    ) -> AsyncGenerator[Json]:
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await self._call(agent, cursor=cursor, **asked)
            for message in _in_order(page):
                yield message
            cursor = _next_cursor(page)
            if not cursor:
                return

    async def _call(self, agent: Agent, **asked: Any) -> Any:  # noqa: ANN401  (the SDK's answer)
        """Reads one page; what may pass is tried a few times, within Slack's pace."""
        call = SlackCall(SlackMethod.REPLIES, agent.channel, agent.id)
        tries = 0
        while True:
            await self._wait_for_turn(call)
            try:
                async with asyncio.timeout(_CALL_TIMEOUT_SECONDS):
                    return await self._client.conversations_replies(
                        channel=agent.channel, ts=agent.thread_ts or "", **asked
                    )
            except SlackApiError as error:
                verdict, tries = meaning(error), tries + 1
                if isinstance(verdict, PostRefused):
                    raise
                if tries >= _MOST_TRIES:
                    raise ConnectionError(str(error)) from error
                seconds = verdict.seconds if isinstance(verdict, TooFast) else 2.0**tries
            except (aiohttp.ClientError, OSError):
                tries += 1
                if tries >= _MOST_TRIES:
                    raise
                seconds = 2.0**tries
            self._limiter.hold_calls(call, seconds, self._clock.now())

    async def _wait_for_turn(self, call: SlackCall) -> None:
        while (at := self._limiter.ready_at(call, self._clock.now())) > self._clock.now():
            await self._clock.wait(asyncio.Event(), at - self._clock.now())
        self._limiter.count_call(call, self._clock.now())


def _in_order(page: Json) -> Sequence[Json]:
    messages = [message for message in page.get("messages") or () if message.get("ts")]
    return sorted(messages, key=lambda message: float(message["ts"]))


def _next_cursor(page: Json) -> str | None:
    return (page.get("response_metadata") or {}).get("next_cursor") or None


def _beginning(agent: Agent) -> str:
    """Returns where the agent's part begins: at the root, or later in an older thread."""
    root = agent.thread_ts or "0"
    older = float(root) < agent.created_at - MARGIN_SECONDS
    return f"{agent.created_at:.6f}" if older else root


def _oldest(agent: Agent, since: float) -> str:
    """Returns where to read on: at the cursor, or at `since` if that is earlier."""
    beginning = _beginning(agent)
    cursor = agent.read_ts or beginning
    earlier = min(cursor, f"{since:.6f}", key=float)
    return max(beginning, earlier, key=float)
