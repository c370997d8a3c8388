"""Delivers one post to Slack: makes the calls, reads their answers, looks up a lost post.

A post carries the id of its row in the message's metadata. Slack offers no key that would make a
post idempotent, so after a doubt the thread is read for that id before the post goes out again.
"""

import asyncio
import base64
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, assert_never

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.posts import (
    OpenRow,
    PostContent,
    PostKind,
)
from bot.slack.outbox.block_fallback import BlockFallback, error_code as _code
from bot.slack.outbox.rate_limits import SlackCall, SlackMethod

_log = logging.getLogger(__name__)

METADATA_TYPE = "threadsmith_post"
# The clocks of this host and of Slack may differ.
_LOOK_BACK_SECONDS = 900
_MOST_TEXT = 4_000
_PAGE = 200
_MOST_PAGES = 50

# Nothing that we post there will ever be shown, whatever it says.
_GONE = frozenset({
    "account_inactive", "cant_update_message", "channel_not_found", "edit_window_closed",
    "ekm_access_denied", "invalid_auth", "is_archived", "message_not_found", "missing_scope",
    "no_permission", "not_authed", "not_in_channel", "org_login_required", "restricted_action",
    "restricted_action_non_threadable_channel", "restricted_action_read_only_channel",
    "restricted_action_thread_locked", "restricted_action_thread_only_channel",
    "thread_not_found", "token_expired", "token_revoked",
})  # fmt: skip
_MAY_PASS = frozenset({
    "fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org",
})  # fmt: skip
_TOO_FAST = frozenset({"message_limit_exceeded", "rate_limited", "ratelimited"})
_AS_WANTED = frozenset({"already_reacted", "no_reaction"})


@dataclass(frozen=True, slots=True)
class Shown:
    """Slack shows this version; `ts` is None when Slack does not tell."""

    version: int
    ts: str | None


@dataclass(frozen=True, slots=True)
class Absent:
    """Slack does not have the post."""


@dataclass(frozen=True, slots=True)
class TooFast:
    """Slack asks to wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The call failed in a way that may pass. `unknown`: it may have had its effect."""

    code: str
    unknown: bool


@dataclass(frozen=True, slots=True)
class PostRefused:
    """Slack will never accept this version, or (`gone`) anything in this place."""

    code: str
    gone: bool


Verdict = Shown | Absent | TooFast | Failed | PostRefused
NoteFile = Callable[[str, str | None], Awaitable[None]]


class Delivery:
    """Makes the calls. The client must not retry by itself: that would post twice."""

    def __init__(
        self, client: AsyncWebClient, note_file: NoteFile, call_timeout_seconds: float
    ) -> None:
        self._client = client
        self._note_file = note_file
        self._timeout_seconds = call_timeout_seconds
        self._fallback = BlockFallback()

    async def make_call(self, call: SlackCall, row: OpenRow, content: PostContent) -> Verdict:
        """Makes the call, within the timeout, and says what came of it."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._make_call(call, row, content)
        except SlackApiError as error:
            return meaning(error)
        except aiohttp.ClientConnectorError:
            return Failed("not_connected", unknown=False)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Failed(type(error).__name__, unknown=True)

    async def _make_call(self, call: SlackCall, row: OpenRow, content: PostContent) -> Verdict:
        match call.method:
            case SlackMethod.POST:
                return await self._post(row, content)
            case SlackMethod.UPDATE:
                return await self._update(row, content)
            case SlackMethod.REACT:
                return await self._react(row, content)
            case SlackMethod.UPLOAD:
                return await self._upload(row, content)
            case SlackMethod.REPLIES | SlackMethod.HISTORY:
                return await self._look_up(row, content)
            case _:
                assert_never(call.method)

    async def _post(self, row: OpenRow, content: PostContent) -> Verdict:
        about = {"outbox_id": content.id, "version": content.version}
        answer = await self._fallback.send(
            replace(content, above=(), below=()),
            lambda blocks: self._client.chat_postMessage(
                channel=row.channel,
                thread_ts=row.thread_ts,
                text=_text(content.payload),
                blocks=blocks or None,
                unfurl_links=False,
                unfurl_media=False,
                metadata={"event_type": METADATA_TYPE, "event_payload": about},
            ),
        )
        return Shown(content.version, str(answer["ts"]))

    async def _update(self, row: OpenRow, content: PostContent) -> Verdict:
        # An empty list, since Slack keeps the old blocks when none are named.
        await self._fallback.send(
            content,
            lambda blocks: self._client.chat_update(
                channel=row.channel,
                ts=row.ts or "",
                text=_all_text(content),
                blocks=blocks,
            ),
        )
        return Shown(content.version, row.ts)

    async def _react(self, row: OpenRow, content: PostContent) -> Verdict:
        name, ts = str(content.payload["name"]), str(content.payload["ts"])
        present = content.payload.get("present", True)
        if not present and content.sent_version == 0 and content.attempts == 1:
            return Shown(content.version, ts)
        change = self._client.reactions_add if present else self._client.reactions_remove
        try:
            await change(channel=row.channel, timestamp=ts, name=name)
        except SlackApiError as error:
            gone_with_it = not present and _code(error) == "message_not_found"
            if _code(error) not in _AS_WANTED and not gone_with_it:
                raise
        return Shown(content.version, ts)

    async def _upload(self, row: OpenRow, content: PostContent) -> Verdict:
        data = base64.b64decode(content.payload["content_base64"])
        name = str(content.payload["name"])
        try:
            file_id = await upload_bytes(self._client, name, data or b"\n")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return Failed(type(error).__name__, unknown=False)
        await self._note_file(row.id, file_id)
        answer = await self._client.files_completeUploadExternal(
            files=[{"id": file_id, "title": str(content.payload.get("title") or name)}],
            channel_id=row.channel,
            thread_ts=row.thread_ts,
            initial_comment=content.payload.get("comment") or None,
        )
        return Shown(content.version, _shared_ts(answer.data, row.channel))

    async def _look_up(self, row: OpenRow, content: PostContent) -> Verdict:
        if row.kind is PostKind.FILE and content.file_id is None:
            return Absent()
        try:
            async with aclosing(self._messages(row, content)) as messages:
                async for message in messages:
                    if row.kind is PostKind.FILE:
                        files = {item.get("id") for item in message.get("files", ())}
                        if content.file_id in files:
                            return Shown(content.version, str(message["ts"]))
                    elif (version := _version(message, content.id)) is not None:
                        return Shown(version, str(message["ts"]))
        except SlackApiError as error:
            verdict = meaning(error)
            if isinstance(verdict, PostRefused) and verdict.code == "missing_scope":
                _log.warning("The thread cannot be read, so a post may appear twice")
                return Absent()
            return verdict
        return Absent()

    async def _messages(
        self, row: OpenRow, content: PostContent
    ) -> AsyncGenerator[Mapping[str, Any]]:
        asked: dict[str, Any] = {
            "channel": row.channel,
            "include_all_metadata": True,
            "limit": _PAGE,
            "oldest": f"{max(0.0, content.created_at - _LOOK_BACK_SECONDS):.6f}",
        }
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            if row.thread_ts:
                page = await self._client.conversations_replies(
                    ts=row.thread_ts, cursor=cursor, **asked
                )
            else:
                page = await self._client.conversations_history(cursor=cursor, **asked)
            for message in page.get("messages") or ():
                yield message
            cursor = (page.get("response_metadata") or {}).get("next_cursor")
            if not cursor:
                return


def _text(payload: Mapping[str, Any]) -> str:
    return str(payload.get("text") or "")


def _all_text(content: PostContent) -> str:
    """Joins the texts of all posts that share the message, up to the length of an edit."""
    parts = (*content.above, content.payload, *content.below)
    return "\n".join(filter(None, map(_text, parts)))[:_MOST_TEXT]


def _version(message: Mapping[str, Any], row_id: str) -> int | None:
    metadata = message.get("metadata") or {}
    about = metadata.get("event_payload") or {}
    if metadata.get("event_type") != METADATA_TYPE or about.get("outbox_id") != row_id:
        return None
    return int(about.get("version", 1))


def _shared_ts(answer: Any, channel: str) -> str | None:  # noqa: ANN401  (JSON of Slack)
    for file in answer.get("files") or ():
        for shares in (file.get("shares") or {}).values():
            for share in shares.get(channel) or ():
                return str(share["ts"])
    return None


def meaning(error: SlackApiError) -> Verdict:
    """Reads what a refusal of Slack means for the caller."""
    response, code = error.response, _code(error)
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    if status == HTTPStatus.TOO_MANY_REQUESTS or code in _TOO_FAST:
        return TooFast(_seconds(response.headers.get("Retry-After")))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or not code or code in _MAY_PASS:
        return Failed(code or f"http_{status}", unknown=True)
    return PostRefused(code, gone=code in _GONE)


def _seconds(header: str | None) -> float:
    try:
        return max(1.0, float(header or 1.0))
    except ValueError:
        return 1.0


async def upload_bytes(client: AsyncWebClient, name: str, data: bytes) -> str:
    """Uploads a file that nobody sees yet; returns its id. Raises as aiohttp and the SDK do."""
    place = await client.files_getUploadURLExternal(filename=name, length=len(data))
    async with (
        aiohttp.ClientSession(trust_env=True) as session,
        session.post(str(place["upload_url"]), data=data) as response,
    ):
        response.raise_for_status()
    return str(place["file_id"])
