"""Reads the messages and files of a thread from before an agent came into it."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.ports.people import Directory
from bot.domain.attachment import Attachment, sort_files
from bot.domain.thread_context import ContextMessage, Opening
from bot.slack.events import shared_files
from bot.slack.views.text import plain

_log = logging.getLogger(__name__)

_PAGE = 999
_MOST_PAGES = 5
_KEPT = 100
_MOST_NAMES = 20
_SECONDS = 8.0


class ThreadHistory:
    """Reads a thread; one that cannot be read gives an empty opening, so that the task goes on."""

    def __init__(self, client: AsyncWebClient, directory: Directory) -> None:
        self._client = client
        self._directory = directory

    async def read_before(self, channel: str, thread_ts: str, ts: str) -> Opening:
        """Returns the messages of the thread before `ts`, and their newest files."""
        try:
            async with asyncio.timeout(_SECONDS):
                messages = await self._messages(channel, thread_ts)
                return await self._opening([m for m in messages if str(m.get("ts")) < ts])
        except SlackApiError as error:
            _log.warning("a thread cannot be read: %s", error.response.get("error"))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("a thread cannot be read: %s", type(error).__name__)
        return Opening()

    async def _messages(self, channel: str, thread_ts: str) -> Sequence[Mapping[str, Any]]:
        newest: deque[Mapping[str, Any]] = deque(maxlen=_KEPT)
        cursor = ""
        for _ in range(_MOST_PAGES):
            page = await self._client.conversations_replies(
                channel=channel, ts=thread_ts, limit=_PAGE, cursor=cursor or None
            )
            newest.extend(page.get("messages") or [])
            cursor = str((page.get("response_metadata") or {}).get("next_cursor") or "")
            if not cursor:
                break
        return list(newest)

    async def _opening(self, messages: Sequence[Mapping[str, Any]]) -> Opening:
        names: dict[str, str] = {}
        messages_read = []
        files: list[Attachment] = []
        for message in reversed(messages):
            text = plain(str(message.get("text") or "")).strip()
            taken, _ = sort_files(shared_files(message))
            files += [file for file in taken if not message.get("bot_id")]
            if text:
                messages_read.append(ContextMessage(await self._speaker(message, names), text))
        # The message that starts the agent has room for as many again.
        return Opening(tuple(reversed(messages_read)), tuple(files[:5]))

    async def _speaker(self, message: Mapping[str, Any], names: dict[str, str]) -> str:
        user = str(message.get("user") or "")
        if message.get("bot_id") or not user:
            profile = message.get("bot_profile") or {}
            return f"{profile.get('name') or message.get('username') or 'app'} (app)"
        if user not in names and len(names) < _MOST_NAMES:
            person = await self._directory.person(user)
            names[user] = person.name if person and person.name else user
        return names.get(user, user)
