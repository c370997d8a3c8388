"""Asks Slack who the bot is and who people are; makes the client that it speaks with."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from cachetools import LRUCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.domain.policy import Person
from bot.errors import ConfigurationError
from bot.shared_answers import SharedAnswers

_log = logging.getLogger(__name__)

# Who becomes a guest, or an admin, is treated so after this time at the latest.
FRESH_SECONDS = 600.0
# Who joins a channel waits so long at most, and a stranger who asks again costs no call until then.
REFUSED_SECONDS = 10.0
_CALL_SECONDS = 1.5
_TRIES = 2
MOST_KEPT = 5_000
_PAGE = 999  # the largest that Slack gives
_MOST_PAGES = 20


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot in its workspace, as Slack says."""

    bot_user_id: str
    bot_name: str
    team: str
    workspace_url: str


def slack_client(settings: Settings, session: aiohttp.ClientSession) -> AsyncWebClient:
    """Makes the client for the workspace of these settings."""
    return AsyncWebClient(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        # The SDK's own retry would post a message twice; the outbox retries with care.
        retry_handlers=[],
    )


async def identify(client: AsyncWebClient) -> Identity:
    """Asks Slack who the bot is; raises ConfigurationError when the token does not work."""
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        reason = error.response.get("error", "unknown")
        raise ConfigurationError(
            f"Slack refused SLACK_BOT_TOKEN ({reason}). Reinstall the app and copy the "
            '"Bot User OAuth Token" of its page "OAuth & Permissions".'
        ) from error
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ConfigurationError(
            f"Slack does not answer at {client.base_url} ({error}). Check the network and "
            "SLACK_API_URL."
        ) from error
    _log.info("in Slack as @%s in %s", answer.get("user"), answer.get("team"))
    return Identity(
        str(answer["user_id"]), str(answer["user"]), str(answer["team_id"]), str(answer["url"])
    )


class SlackPeople:
    """Implements the Directory port; asks Slack once in ten minutes about each person.

    Every request waits for it, a stop too, so it gives up after three seconds and returns Slack's
    last answer, if there ever was one.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        team: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._team = team
        self._clock = clock
        self._known: LRUCache[str, tuple[float, Person]] = LRUCache(MOST_KEPT)
        self._asked: SharedAnswers[str, Person | None] = SharedAnswers()
        self._seeing: LRUCache[tuple[str, str], tuple[float, bool]] = LRUCache(MOST_KEPT)
        self._asked_seeing: SharedAnswers[tuple[str, str], bool] = SharedAnswers()

    async def person(self, user: str) -> Person | None:
        """Returns a person; None when Slack does not say."""
        known = self._known.get(user)
        if known and self._clock() - known[0] < FRESH_SECONDS:
            return known[1]
        person = await self._asked.get(user, lambda: self._ask_and_remember(user))
        if person is None:
            return known[1] if known else None
        return person

    async def may_see_channel(self, user: str, channel: str) -> bool:
        """Checks whether the person may read the channel; False when Slack does not say.

        Members may, and in a public channel everybody of the workspace but guests. An old answer
        counts for nothing, since people are removed from private channels for a reason.
        """
        key = (user, channel)
        known = self._seeing.get(key)
        if known:
            age = self._clock() - known[0]
            if age < (FRESH_SECONDS if known[1] else REFUSED_SECONDS):
                return known[1]
        seeing = await self._asked_seeing.get(key, lambda: self._ask_seeing(user, channel))
        self._seeing[key] = (self._clock(), seeing)
        return seeing

    def note_presence(self, user: str, channel: str) -> None:
        """Notes that Slack delivered something that the person did in the channel just now."""
        self._seeing[user, channel] = (self._clock(), True)

    async def _ask_seeing(self, user: str, channel: str) -> bool:
        person = await self.person(user)
        if person is None:
            return False
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                if not (person.is_guest or person.is_external) and await self._is_public(channel):
                    return True
                return await self._is_member(user, channel)
        except SlackApiError as error:
            code, needed = error.response.get("error"), error.response.get("needed")
            if code == "missing_scope":
                _log.error("Slack needs the scope %s: add it and reinstall the app", needed)
            else:
                _log.warning("Slack does not say who may see %s: %s", channel, code)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("Slack does not say who may see %s: %s", channel, type(error).__name__)
        return False

    async def _is_public(self, channel: str) -> bool:
        answer = await self._client.conversations_info(channel=channel)
        return answer["channel"].get("is_private") is False

    async def _is_member(self, user: str, channel: str) -> bool:
        cursor = ""
        for _ in range(_MOST_PAGES):
            page = await self._client.conversations_members(
                channel=channel, cursor=cursor, limit=_PAGE
            )
            if user in page["members"]:
                return True
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return False
        _log.warning("%s has too many members to look for one", channel)
        return False

    async def _ask_and_remember(self, user: str) -> Person | None:
        person = await self._ask_slack(user)
        if person is not None:
            self._known[user] = (self._clock(), person)
        return person

    async def _ask_slack(self, user: str) -> Person | None:
        for left in reversed(range(_TRIES)):
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    answer = await self._client.users_info(user=user)
                return person_of(answer["user"], self._team)
            except SlackApiError as error:
                code = error.response.get("error")
                if code == "missing_scope":
                    _log.error("Slack needs the scope users:read: add it and reinstall the app")
                    return None
                _log.warning("Slack does not say who %s is: %s", user, code)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                _log.warning("Slack does not say who %s is: %s", user, type(error).__name__)
            if left:
                await asyncio.sleep(0)
        return None


def person_of(user: Mapping[str, Any], team: str) -> Person:
    """Reads Slack's user object; `team` is the workspace that the app is installed in."""
    home = str(user.get("team_id") or team)
    grid = (user.get("enterprise_user") or {}).get("teams") or ()
    return Person(
        id=str(user["id"]),
        is_admin=any(user.get(name) for name in ("is_admin", "is_owner", "is_primary_owner")),
        is_guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
        is_external=bool(user.get("is_stranger") or (home != team and team not in grid)),
        is_bot=bool(user.get("is_bot") or user.get("is_workflow_bot")),
        is_deleted=bool(user.get("deleted")),
        name=_name(user),
    )


def _name(user: Mapping[str, Any]) -> str:
    profile = user.get("profile") or {}
    return str(profile.get("display_name") or user.get("real_name") or user.get("name") or "")[:80]
