"""Sends the stored posts until Slack agrees with them, within Slack's limits.

A row holds the newest content under one key. The sender takes the most important row that may go,
marks it as on its way, calls Slack and notes the answer; whatever is enqueued meanwhile is simply
the next version. A row that may have arrived (the process died, the link broke) is looked up in
the thread before it is sent again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import assert_never

from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.ports.store import OutboxRows
from bot.domain.posts import (
    ROOT_KEY,
    OpenRow,
    PostContent,
    PostKind,
)
from bot.errors import ChannelUnavailable
from bot.slack.outbox.delivery import Absent, Delivery, Failed, PostRefused, Shown, TooFast, Verdict
from bot.slack.outbox.rate_limits import (
    GRAIN_SECONDS,
    Clock,
    MonotonicClock,
    RateLimiter,
    SlackCall,
    SlackMethod,
)

_log = logging.getLogger(__name__)

OnDead = Callable[[str, str, str], Awaitable[None]]

_MOST_AT_ONCE = 16
# The message that a post shared is gone, or too old to be edited in this workspace.
_NO_EDIT = frozenset({"cant_update_message", "edit_window_closed", "message_not_found"})
_LONGEST_BACKOFF_SECONDS = 60.0
_AFTER_TROUBLE_SECONDS = 5.0
# What could not be shown for so long is parked: nobody waits for it any more.
_LONGEST_FAILURE_SECONDS = 86_400.0


class OutboxSender:
    """Sends posts: `run` lives as long as the bot, `wake` says that there is something new.

    `on_dead(agent_id, key, error_code)` is awaited once when Slack refuses a post for good. The
    client must have been made with `retry_handlers=[]`.
    """

    def __init__(
        self,
        rows: OutboxRows,
        client: AsyncWebClient,
        *,
        bot_name: str,
        on_dead: OnDead,
        clock: Clock | None = None,
        call_timeout_seconds: float = 30.0,
    ) -> None:
        self._rows = rows
        self._delivery = Delivery(client, rows.note_file, call_timeout_seconds)
        self._bot_name = bot_name
        self._on_dead = on_dead
        self._clock = clock or MonotonicClock()
        self._limiter = RateLimiter()
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._in_flight: set[str] = set()
        self._deliveries = 0
        self._backoff: dict[str, float] = {}
        self._waiting: dict[tuple[str, str], list[asyncio.Event]] = {}

    def wake(self) -> None:
        """Notes that there may be something to send; called after each commit that enqueued."""
        self._woken.set()

    async def run(self) -> None:
        """Sends until cancelled. A cancelled sender leaves only rows that the next one can find."""
        # A sender that was ended may have left some that never came to their first step.
        self._in_flight.clear()
        async with asyncio.TaskGroup() as sending:
            while True:
                self._woken.clear()
                try:
                    seconds = await self._start_due(sending)
                except Exception:  # noqa: BLE001  (a full disk or a lost database must not end the sender)
                    _log.exception("The outbox cannot be read")
                    seconds = _AFTER_TROUBLE_SECONDS
                await self._clock.wait(self._woken, seconds)

    async def drain(self, timeout_seconds: float) -> bool:
        """Waits until everything is sent; False when that takes longer than the timeout."""
        self._idle.clear()
        self.wake()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    async def sent(self, agent_id: str, key: str, timeout_seconds: float) -> str:
        """Returns the ts of the post, once Slack has it ("" for a file without a known ts).

        Raises ChannelUnavailable when Slack refuses it for good, TimeoutError after the timeout.
        """
        changed = asyncio.Event()
        waiting = self._waiting.setdefault((agent_id, key), [])
        waiting.append(changed)
        try:
            async with asyncio.timeout(timeout_seconds):
                while True:
                    changed.clear()
                    outcome = await self._rows.outcome(agent_id, key)
                    if outcome and outcome.error and not outcome.ts:
                        raise self._unavailable(outcome.error)
                    if outcome and (outcome.ts or outcome.settled):
                        return outcome.ts or ""
                    await changed.wait()
        finally:
            waiting.remove(changed)
            if not waiting:
                self._waiting.pop((agent_id, key), None)

    async def _start_due(self, sending: asyncio.TaskGroup) -> float | None:
        """Starts what may go now; returns the seconds until more may, None when nothing waits."""
        rows = await self._open_rows()
        if not rows:
            self._idle.set()
        now = self._clock.now()
        # A post may go away while it waits; what is past holds nobody up.
        self._backoff = {row_id: at for row_id, at in self._backoff.items() if at > now}
        next_at = float("inf")
        for row in sorted(rows, key=self._importance):
            if row.id in self._in_flight or _must_wait(row, rows):
                continue
            call = _call_for(row)
            if call is not None:
                at = max(self._limiter.ready_at(call, now), self._backoff.get(row.id, now))
                if at - now > GRAIN_SECONDS:
                    next_at = min(next_at, at)
                    continue
                if len(self._in_flight) >= _MOST_AT_ONCE:
                    break
                self._limiter.count_call(call, now)
            elif row.root_error is None:
                continue
            self._in_flight.add(row.id)
            sending.create_task(self._deliver(row, call))
        return None if next_at == float("inf") else next_at - now

    async def _open_rows(self) -> Sequence[OpenRow]:
        """Returns the open rows as they are now: not as they were while a delivery ended."""
        while True:
            before = self._deliveries
            rows = await self._rows.open()
            if before == self._deliveries:
                return rows

    def _importance(self, row: OpenRow) -> tuple[int, float, int]:
        # Among equals the one served longest ago, so that no card starves the others.
        return (row.priority, self._limiter.last_served(row.id), row.position)

    async def _deliver(self, row: OpenRow, call: SlackCall | None) -> None:
        try:
            content = await self._rows.begin(row.id)
            if content is not None:
                verdict: Verdict = PostRefused(row.root_error or "thread_not_found", gone=True)
                if call is not None:
                    verdict = await self._delivery.make_call(call, row, content)
                await self._settle(row, call, content, verdict)
        except Exception:  # noqa: BLE001  (one post's trouble never stops the others)
            _log.exception("Post %s of agent %s failed", row.key, row.agent_id)
            self._backoff[row.id] = self._clock.now() + _AFTER_TROUBLE_SECONDS
        finally:
            self._in_flight.discard(row.id)
            self._deliveries += 1
            self._woken.set()

    async def _settle(
        self, row: OpenRow, call: SlackCall | None, content: PostContent, verdict: Verdict
    ) -> None:
        now = self._clock.now()
        doubtful = call is not None and call.is_lookup
        self._backoff.pop(row.id, None)
        match verdict:
            case Shown():
                await self._rows.sent(row.id, verdict.version, verdict.ts)
                self._tell(row)
            case Absent():
                await self._rows.put_back(row.id, unknown=False, error="")
            case TooFast():
                if call is not None:
                    self._limiter.hold_calls(call, verdict.seconds, now)
                await self._rows.put_back(row.id, unknown=doubtful, error="ratelimited")
            case Failed() if content.failing_seconds > _LONGEST_FAILURE_SECONDS:
                await self._bury(
                    row, content, PostRefused(f"given_up_after_{verdict.code}", gone=False)
                )
            case Failed():
                self._backoff[row.id] = now + _backoff_seconds(content.attempts)
                unknown = doubtful or verdict.unknown
                _log.warning("Post %s of agent %s: %s", row.key, row.agent_id, verdict.code)
                await self._rows.put_back(row.id, unknown=unknown, error=verdict.code, failing=True)
            case PostRefused(code=code) if row.shared and code in _NO_EDIT:
                await self._rows.detach(row.id)
            case PostRefused():
                await self._bury(row, content, verdict)
            case _:
                assert_never(verdict)

    async def _bury(self, row: OpenRow, content: PostContent, verdict: PostRefused) -> None:
        is_news = await self._rows.bury(
            row.id, content.version, error=verdict.code, gone=verdict.gone
        )
        self._tell(row)
        # The posts of a thread that never came to be are no news beside its root.
        if is_news and row.root_error is None:
            _log.error("Slack refused %s of agent %s: %s", row.key, row.agent_id, verdict.code)
            await self._on_dead(row.agent_id, row.key, verdict.code)

    def _tell(self, row: OpenRow) -> None:
        for changed in self._waiting.get((row.agent_id, row.key), ()):
            changed.set()

    def _unavailable(self, code: str) -> ChannelUnavailable:
        match code:
            case "not_in_channel" | "channel_not_found":
                invite = f"/invite @{self._bot_name}"
                text = f"I am not in this channel. Type `{invite}` here and try again."
            case "is_archived":
                text = "This channel is archived. Start the agent in another channel."
            case _ if code.startswith("restricted_action"):
                text = "Apps may not post in this channel. Ask an admin, or use another channel."
            case _:
                text = f"Slack refused the message (`{code}`). Ask whoever runs this bot."
        return ChannelUnavailable(text, f"Slack refused a post: {code}")


def _call_for(row: OpenRow) -> SlackCall | None:
    """Returns the next call that a row needs; None while its thread is unknown."""
    if row.kind is PostKind.REACTION:
        return SlackCall(SlackMethod.REACT, row.channel, row.id)
    if (row.thread_ts is None and row.key != ROOT_KEY) or row.waits_for_host:
        return None
    arrived = row.kind is PostKind.MESSAGE and row.ts is not None
    if arrived:
        return SlackCall(SlackMethod.UPDATE, row.channel, row.id)
    if row.state != "pending":
        method = SlackMethod.REPLIES if row.thread_ts else SlackMethod.HISTORY
    else:
        method = SlackMethod.POST if row.kind is PostKind.MESSAGE else SlackMethod.UPLOAD
    return SlackCall(method, row.channel, row.id)


def _must_wait(row: OpenRow, rows: Iterable[OpenRow]) -> bool:
    """Checks whether an earlier post of the same agent, at least as important, comes first."""
    return _is_new(row) and any(
        other.agent_id == row.agent_id
        and other.position < row.position
        and other.priority <= row.priority
        and _is_new(other)
        for other in rows
    )


def _is_new(row: OpenRow) -> bool:
    return row.kind is PostKind.FILE or (row.kind is PostKind.MESSAGE and row.ts is None)


def _backoff_seconds(attempts: int) -> float:
    return min(_LONGEST_BACKOFF_SECONDS, 2.0 ** min(max(attempts - 1, 0), 10))
