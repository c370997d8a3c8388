"""Stores what Slack sends before it is acknowledged, and runs it again when it was cut short.

Bolt acknowledges an event before its listener runs, so a crash in between would lose it. The
middleware here commits the body first; when that fails no acknowledgement goes out, and Slack
sends the event again. The stored body holds `response_url` and `trigger_id`, because a replay
needs them: the database is a file for its owner only, and a finished row keeps no body.
"""

import asyncio
import functools
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, ParamSpec

from slack_bolt import BoltResponse
from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext, AsyncBoltRequest

from bot.agents.ports.store import InboxRows
from bot.errors import StoreUnavailable

_log = logging.getLogger(__name__)

P = ParamSpec("P")

_REPLAY = "threadsmith_replay"
_NOT_FOUND = 404
# One that ends the process each time it is run must not keep the bot from starting.
_MOST_REPLAYS = 3
_OPEN_DIALOGUE = ("errors", "update", "push")

_row: ContextVar[int | None] = ContextVar("inbox_row", default=None)


class Inbox:
    """Wire it up as `app.use(inbox.middleware)` and `@inbox.finishes` under each listener.

    When nothing can be stored, an event is not acknowledged, so that Slack sends it again. What
    Slack sends only once (a command, a button) and what is `urgent` (a stop) goes on unstored:
    its listener refuses what needs the database, and tells the person.
    """

    def __init__(
        self, rows: InboxRows, urgent: Callable[[Mapping[str, Any]], bool] = lambda _: False
    ) -> None:
        self._rows = rows
        self._urgent = urgent
        self._running: set[int] = set()
        # Inputs that are being stored may go on together; a replay waits for them and keeps new
        # ones out, since what is stored and what is at work must agree while it looks.
        self._storing = 0
        self._changed = asyncio.Condition()

    async def middleware(
        self,
        body: dict[str, Any],
        context: AsyncBoltContext,
        ack: AsyncAck,
        next: Callable[[], Awaitable[None]],  # noqa: A002  (Bolt hands it over by this name)
    ) -> BoltResponse | None:
        """Stores the input, then goes on; a duplicate is acknowledged and goes no further."""
        replayed = context.get(_REPLAY)
        key = key_of(body)
        if isinstance(replayed, _Replay):
            row_id: int | None = replayed.row_id
        elif key is None:
            row_id = None
        else:
            try:
                row_id = await self._store(key, body)
            except StoreUnavailable as error:
                if body.get("type") == "event_callback" and not self._urgent(body):
                    raise
                _log.warning("An input is worked off without being stored: %s", error)
                row_id = None
            else:
                if row_id is None:
                    _log.info("A duplicate of %s was acknowledged", key.partition(" ")[0])
                    return await ack()
        _row.set(row_id)
        await next()
        return None

    def finishes(self, listener: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        """Marks the input as done when this listener has ended, by an error too.

        A listener that is cancelled leaves it for the next start. A form that was answered with
        errors stays open for the person, so the same submission may come again.
        """

        @functools.wraps(listener)
        async def finishing(*args: P.args, **kwargs: P.kwargs) -> None:
            row_id = _row.get()
            try:
                await listener(*args, **kwargs)
            except asyncio.CancelledError:
                if row_id is not None:
                    self._running.discard(row_id)
                raise
            except Exception:
                # Bolt's error handler tells the person; running it again would not help.
                await self._finish(row_id)
                raise
            await self._finish(row_id, again=_keeps_form_open(kwargs.get("ack")))

        return finishing

    async def replay(self, app: AsyncApp) -> int:
        """Runs what an earlier life stored and did not finish; returns how much that was.

        Call it once at start; what this life is at work on is left alone.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._storing == 0)
            unfinished = await self._rows.unfinished()
            rows = [row for row in unfinished if row.id not in self._running]
            self._running.update(row.id for row in rows)
        count = 0
        for row in rows:
            if row.attempts >= _MOST_REPLAYS:
                _log.error("Input %d was replayed %d times; giving it up", row.id, row.attempts)
                await self._finish(row.id)
                continue
            await self._rows.count_attempt(row.id)
            request = AsyncBoltRequest(
                mode="socket_mode", body=dict(row.body), context={_REPLAY: _Replay(row.id)}
            )
            try:
                response = await app.async_dispatch(request)
            except StoreUnavailable:  # that is no fault of this input
                raise
            except Exception:  # noqa: BLE001  (it would end the bot at each start)
                _log.exception("Input %d cannot be replayed; the next start tries again", row.id)
                self._running.discard(row.id)
                continue
            if response.status == _NOT_FOUND:
                await self._finish(row.id)
            count += 1
        return count

    async def _store(self, key: str, body: Mapping[str, Any]) -> int | None:
        async with self._changed:
            self._storing += 1
        try:
            row_id = await self._rows.store(key, body)
            if row_id is not None:
                self._running.add(row_id)
            return row_id
        finally:
            async with self._changed:
                self._storing -= 1
                self._changed.notify_all()

    async def _finish(self, row_id: int | None, *, again: bool = False) -> None:
        if row_id is None:
            return
        self._running.discard(row_id)
        try:
            await (self._rows.forget(row_id) if again else self._rows.finish(row_id))
        except StoreUnavailable as error:
            # It stays unfinished and is replayed at the next start, where claims make it a twin.
            _log.warning("Input %d is not noted as finished: %s", row_id, error)


def is_replay(context: Mapping[str, Any]) -> bool:
    """Checks whether this input comes out of the inbox, and not from Slack."""
    return isinstance(context.get(_REPLAY), _Replay)


class _Replay:
    """The mark of a replay; nothing that Slack sends can be one."""

    def __init__(self, row_id: int) -> None:
        self.row_id = row_id


def key_of(body: Mapping[str, Any]) -> str | None:
    """Returns the key that tells this input from all others, the same for each delivery of it.

    None for what needs no storing: it changes nothing (options of a menu, a closed form).
    """
    kind = body.get("type")
    if body.get("event_id"):
        return f"event {body['event_id']}"
    if kind == "event_callback":
        return f"event {_digest(body)}"
    if kind == "view_submission":
        view = body.get("view") or {}
        return f"view {view.get('id')} {view.get('hash')} {_digest(view.get('state'))}"
    if kind in {"block_suggestion", "view_closed", "url_verification"}:
        return None
    if kind or body.get("command"):
        name = str(kind or "command")
        return f"{name} {body.get('trigger_id') or _digest(body)}"
    return None


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _keeps_form_open(ack: object) -> bool:
    response = ack.response if isinstance(ack, AsyncAck) else None
    if response is None or not response.body:
        return False
    try:
        answer = json.loads(response.body)
    except ValueError:
        return False
    return isinstance(answer, dict) and answer.get("response_action") in _OPEN_DIALOGUE
