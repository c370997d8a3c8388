"""Checks for the doctor: Slack's tokens and scopes, the socket, channels, the clock."""

import contextlib
import time
from collections.abc import Callable, Collection, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.health import Finding, broken, doubtful, fine

# Slack refuses signed requests that are five minutes off; a GitHub App's token, one.
SKEW_WARN_SECONDS, SKEW_FAIL_SECONDS = 30.0, 240.0
_SHOWN = 5

Client = AsyncWebClient
_NOT_THERE = frozenset({"not_in_channel", "channel_not_found"})
_INSTALL = 'Reinstall the app (its page "OAuth & Permissions") and copy its Bot User OAuth Token.'
_MAKE_APP = (
    "Make an App-Level Token with the scope connections:write on the app's page \"Basic "
    'Information" and put it into SLACK_APP_TOKEN.'
)


def client_for(token: SecretStr, api_url: str, session: aiohttp.ClientSession) -> AsyncWebClient:
    """Returns a client for questions; it repeats nothing by itself."""
    return AsyncWebClient(
        token=token.get_secret_value(), base_url=api_url, session=session, retry_handlers=[]
    )


async def bot_token(client: AsyncWebClient, wanted: Collection[str] | None) -> Finding:
    """Checks that the bot's token works and has the manifest's scopes (None: unknown)."""
    if not client.token:
        return broken("SLACK_BOT_TOKEN is not set", "Run `threadsmith setup`.")
    try:
        answer = await client.auth_test()
    except SlackApiError as error:
        return broken(f"Slack refuses SLACK_BOT_TOKEN: {_code(error)}", _INSTALL)
    except (aiohttp.ClientError, OSError) as error:
        return _away(client, error)
    who = f"@{answer.get('user')} in {answer.get('team')}"
    granted = {scope.strip() for scope in str(_header(answer, "x-oauth-scopes")).split(",")}
    if wanted is None:
        return doubtful(f"{who}; manifest.yml is not here to compare scopes with", "Keep it there.")
    if missing := sorted(set(wanted) - granted):
        return broken(
            f"{who}; scopes that are missing: {', '.join(missing)}",
            'Paste manifest.yml again on the app\'s page "App Manifest", then reinstall the app.',
        )
    return fine(f"{who}; all {len(wanted)} scopes of the manifest")


async def app_token(client: AsyncWebClient) -> Finding:
    """Checks that a socket could be opened with the app's token; an open one would take events."""
    if not client.token:
        return fine("not set; Slack calls us by signed HTTP")
    try:
        await client.apps_connections_open(app_token=client.token)
    except SlackApiError as error:
        return broken(f"Slack refuses SLACK_APP_TOKEN: {_code(error)}", _MAKE_APP)
    except (aiohttp.ClientError, OSError) as error:
        return _away(client, error)
    return fine("Socket Mode can be opened")


def sockets(count: int | None) -> Finding:
    """Checks whether another process takes events with the same app token, as only the bot can see.

    Slack tells the number when a connection is opened, every few hours.
    """
    if count is None:
        return fine("the running bot sees them: `/agent doctor`")
    if count > 1:
        return broken(
            f"Slack counts {count} connections of this app: others take some of its events",
            "End the other bot, or make it an app, and a SLACK_APP_TOKEN, of its own.",
        )
    return fine("one connection, this bot's")


async def in_channels(client: AsyncWebClient, name: str, channels: Sequence[str]) -> Finding:
    """Checks that the bot is a member of these channels."""
    if not channels:
        return doubtful(
            "no channel is known yet", "Name one: `threadsmith doctor --channel C0123456789`."
        )
    outside: list[str] = []
    for channel in channels:
        try:
            await client.conversations_history(channel=channel, limit=1)
        except SlackApiError as error:
            code = _code(error)
            if code not in _NOT_THERE:
                return broken(f"Slack does not say whether it is in {channel}: {code}", _INSTALL)
            outside.append(channel)
        except (aiohttp.ClientError, OSError) as error:
            return _away(client, error)
    if outside:
        shown = ", ".join(outside[:_SHOWN])
        return broken(
            f"the bot is not in {shown}",
            f"Send `/invite @{name or 'threadsmith'}` in that channel.",
        )
    return fine(f"in {', '.join(channels[:_SHOWN])}")


async def join(client: AsyncWebClient, channel: str) -> None:
    """Enters a public channel where the app has the scope for it; else a person invites the bot."""
    with contextlib.suppress(SlackApiError, aiohttp.ClientError, OSError):
        await client.conversations_join(channel=channel)


async def clock(client: AsyncWebClient, now: Callable[[], float] = time.time) -> Finding:
    """Compares this host's clock with Slack's."""
    try:
        answer: Any = await client.api_test()
    except SlackApiError as error:
        answer = error.response
    except (aiohttp.ClientError, OSError) as error:
        return _away(client, error)
    try:
        theirs = parsedate_to_datetime(str(_header(answer, "date"))).timestamp()
    except ValueError:
        return doubtful("Slack's answer carries no date", "Compare `date -u` with a clock.")
    skew = now() - theirs
    off = f"this host's clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
    step = "Let the host keep its time: `timedatectl set-ntp true`."
    if abs(skew) >= SKEW_FAIL_SECONDS:
        return broken(off, step)
    return doubtful(off, step) if abs(skew) >= SKEW_WARN_SECONDS else fine("within seconds")


async def name_of(client: AsyncWebClient) -> str:
    """Returns the bot's name for `/invite`; empty when Slack does not say."""
    try:
        return str((await client.auth_test()).get("user") or "")
    except (SlackApiError, aiohttp.ClientError, OSError):
        return ""


def _code(error: SlackApiError) -> str:
    return str(error.response.get("error") or "unknown")


def _header(answer: Any, name: str) -> str:  # noqa: ANN401  (the SDK's answer, of either kind)
    values = {str(key).lower(): value for key, value in (answer.headers or {}).items()}.get(
        name, ""
    )
    return str(values[0] if isinstance(values, list) else values)


def _away(client: AsyncWebClient, error: Exception) -> Finding:
    return broken(
        f"Slack does not answer at {client.base_url}: {type(error).__name__}",
        "Check the network, the proxy and SLACK_API_URL.",
    )
