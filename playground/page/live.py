"""Sends a page, by WebSocket, the part of the feed that its person may see."""

import asyncio
import json
import uuid

from aiohttp import WSMsgType, web

from playground.event_feed import EventFeed, FeedEntry
from playground.slack.slack_state import Json, User
from playground.slack.slack_workspace import SlackWorkspace

HEARTBEAT_SECONDS = 20.0
MAX_PAGES = 32
CATCH_UP_ENTRIES = 5_000
# An entry of the inspector shows this in its row; the whole is fetched on demand.
SHORT_TEXT = 200
IN_CHANNELS = frozenset(
    {"message", "message_changed", "message_deleted", "reaction_added", "reaction_removed",
     "session", "members"}
)  # fmt: skip
OF_ONE = frozenset(
    {"ephemeral", "ephemeral_gone", "view", "view_closed", "read", "dispatch_failed"}
)


def frame(entry: FeedEntry, user: User, workspace: SlackWorkspace) -> Json | None:
    """Return an entry as the page of `user` gets it; None when that user may not see it."""
    if entry.kind in IN_CHANNELS:
        channel = workspace.state.channels.get(entry.data["channel"])
        if channel is None or user.id not in channel.members:
            return None
        return entry.as_json()
    if entry.kind in OF_ONE:
        return entry.as_json() if entry.data["user"] == user.id else None
    return entry.as_json() | {"data": summary(entry)}


def summary(entry: FeedEntry) -> Json:
    """The few words of an entry that the inspector lists."""
    data = entry.data
    short: Json = {
        key: value[:SHORT_TEXT] if isinstance(value, str) else value
        for key, value in data.items()
        if isinstance(value, str | int | float | bool) or value is None
    }
    if isinstance(answer := data.get("answer"), dict):
        short |= {"ok": answer.get("ok"), "error": answer.get("error")}
    if isinstance(payload := data.get("payload"), dict):
        event = payload.get("event")
        short["type"] = event.get("type") if isinstance(event, dict) else payload.get("type")
        short["name"] = payload.get("command") or payload.get("callback_id")
    return short


class Live:
    """Serves `/playground/live?as=NAME&after=SEQ&instance=ID`.

    The first frame is `{"kind": "hello"}` when the feed can be resumed after SEQ, and
    `{"kind": "reset"}` when the page must load everything again: another server, or a gap.
    """

    def __init__(self, workspace: SlackWorkspace) -> None:
        self.instance = uuid.uuid4().hex
        self._workspace = workspace
        self._open = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            user = self._workspace.state.user(request.query.get("as", ""))
        except KeyError:
            return web.json_response({"error": "There is no such person."}, status=404)
        after = request.query.get("after", "")
        if not after.isdigit() or len(after) > SHORT_TEXT:
            return web.json_response({"error": "after must be a number."}, status=400)
        if self._open >= MAX_PAGES:
            return web.json_response({"error": "Too many pages are open."}, status=503)
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=4_096)
        await socket.prepare(request)
        self._open += 1
        try:
            if self._resumes(int(after), request.query.get("instance", ""), self._workspace.feed):
                await socket.send_json({"kind": "hello"})
                await self._serve(socket, user, int(after))
            else:
                await socket.send_json({"kind": "reset"})
        finally:
            self._open -= 1
            await socket.close()
        return socket

    def _resumes(self, after: int, instance: str, feed: EventFeed) -> bool:
        kept = feed.first_seq - 1 <= after <= feed.last_seq
        return instance == self.instance and kept and feed.last_seq - after <= CATCH_UP_ENTRIES

    async def _serve(self, socket: web.WebSocketResponse, user: User, after: int) -> None:
        """Send until the feed ends or the page goes away."""
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(socket, user, after))
            await _until_closed(socket)
            sending.cancel()

    async def _send(self, socket: web.WebSocketResponse, user: User, after: int) -> None:
        try:
            async for entry in self._workspace.feed.follow(after):
                if (shown := frame(entry, user, self._workspace)) is not None:
                    await socket.send_str(json.dumps(shown))
        except ConnectionError:
            return
        await socket.close()


async def _until_closed(socket: web.WebSocketResponse) -> None:
    """Wait until the page closes this socket; frames from the page are ignored."""
    async for message in socket:
        if message.type is WSMsgType.ERROR:
            return
