"""Answers `/agent usage`: privately, as words, or as a picture or a table in a direct message."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.ports.store import UsageReads
from bot.config import Settings
from bot.domain.budget import day_start, dollars, nano_of
from bot.domain.policy import Action
from bot.domain.usage_command import ShowUsage, UsageForm, UsageOf
from bot.errors import UserError
from bot.slack.outbox.delivery import upload_bytes
from bot.slack.views.chart import usage_chart
from bot.slack.views.usage import heading, usage_csv, usage_text

logger = logging.getLogger(__name__)

MAX_CSV_LINES = 100_000
_DAY_SECONDS = 86_400


class UsageHandlers:
    """Shows people their own sums and those of the channel they are in; admins see all."""

    def __init__(
        self,
        usage: UsageReads,
        authorization: Authorization,
        client: AsyncWebClient,
        settings: Settings,
        clock: Callable[[], float],
    ) -> None:
        self._usage = usage
        self._authorization = authorization
        self._client = client
        self._clock = clock
        self._caps = {
            UsageOf.ME: nano_of(settings.budget_user_day_usd),
            UsageOf.CHANNEL: nano_of(settings.budget_channel_day_usd),
            UsageOf.ALL: nano_of(settings.budget_deployment_day_usd),
        }

    async def show_usage(
        self,
        command: ShowUsage,
        user: str,
        team: str,
        channel: str,
        tell: Callable[[str], Awaitable[None]],
    ) -> None:
        """Answers privately; raises NotAllowed, and UserError when Slack takes no file."""
        action = Action.ADMINISTER if command.of is UsageOf.ALL else Action.READ
        await self._authorization.require(action, user, team, channel)
        today = day_start(self._clock())
        since = today - _DAY_SECONDS * (command.days - 1)
        owner = user if command.of is UsageOf.ME else ""
        place = channel if command.of is UsageOf.CHANNEL else ""
        head = heading(command, user, channel)
        if command.form is UsageForm.CSV:
            limit = MAX_CSV_LINES
            lines = await self._usage.lines(
                team, since=since, limit=limit, user=owner, channel=place
            )
            if not lines:
                await tell(f"{head}\nNo model calls.")
                return
            data = await asyncio.to_thread(usage_csv, lines)
            cut = f" The newest {limit:,} calls." if len(lines) == limit else ""
            await self._send(user, "usage.csv", data, f"{head}.{cut}")
        else:
            sums = await self._usage.sums(team, since=since, user=owner, channel=place)
            last = datetime.fromtimestamp(today, UTC).date()
            text = usage_text(sums, command, head, last.isoformat(), self._caps[command.of])
            if command.form is UsageForm.TEXT or not sums:
                await tell(text)
                return
            total = dollars(sum(day.nano for day in sums))
            title = f"Model calls, {command.days} days (UTC), {total}"
            data = await asyncio.to_thread(usage_chart, sums, title, last, command.days)
            await self._send(user, "usage.png", data, text)
        await tell(f"{head}: it is in our direct messages, as `{command.form.value}`.")

    async def _send(self, user: str, name: str, data: bytes, comment: str) -> None:
        """Sends a file by direct message, since no file is private in a channel."""
        try:
            opened = await self._client.conversations_open(users=user)
            file_id = await upload_bytes(self._client, name, data)
            await self._client.files_completeUploadExternal(
                files=[{"id": file_id, "title": name}],
                channel_id=str(opened["channel"]["id"]),
                initial_comment=comment,
            )
        except SlackApiError as error:
            reason = error.response.get("error", "unknown")
            raise UserError(
                f"Slack did not take the file (`{reason}`). Leave out `chart` or `csv` to read "
                "the sums here; an admin may have to reinstall the app with its current manifest.",
                f"{name} for {user}: {reason}",
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UserError(
                "The file did not reach Slack. Try again in a moment.",
                f"{name} for {user}: {type(error).__name__}: {error}",
            ) from error
