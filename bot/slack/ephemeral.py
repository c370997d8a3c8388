"""Tells one person privately what became of their request, above all what went wrong."""

import logging
from collections.abc import Awaitable, Callable

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import BotError, UserError
from bot.redaction import Hide

logger = logging.getLogger(__name__)

# Slack's word for a click that came too late to open a window, or was used already.
LATE = frozenset({"expired_trigger_id", "exchanged_trigger_id", "invalid_trigger_id"})
TOO_LATE = "Slack opens no window that long after a click or a command. Try again."
FAILED = "That did not work; the log of Threadsmith says why. Try again in a moment."
Tell = Callable[[str], Awaitable[None]]


class EphemeralReplies:
    """Sends ephemeral messages. `hide` takes known secrets out of their text."""

    def __init__(self, client: AsyncWebClient, hide: Hide) -> None:
        self._client = client
        self.hide = hide

    def teller_for(self, user: str, channel: str, thread_ts: str | None = None) -> Tell:
        """Returns a function that tells this person something where they are."""

        async def tell(text: str) -> None:
            try:
                await self._client.chat_postEphemeral(
                    channel=channel, user=user, text=self.hide(text), thread_ts=thread_ts
                )
            except SlackApiError as error:
                await self._directly(user, channel, text, str(error.response.get("error")))

        return tell

    def direct_teller(self, user: str) -> Tell:
        """Returns a function that tells this person something by a direct message."""

        async def tell(text: str) -> None:
            await self._send_direct(user, text)

        return tell

    async def _directly(self, user: str, channel: str, text: str, why: str) -> None:
        """Tells the person by a direct message when the channel takes no private one."""
        logger.info("nothing can be said to a person in %s: %s", channel, why)
        await self._send_direct(user, f"About <#{channel}>: {text}")

    async def _send_direct(self, user: str, text: str) -> None:
        try:
            await self._client.chat_postMessage(channel=user, text=self.hide(text))
        except SlackApiError as error:
            logger.warning("could not tell a person: %s", error.response.get("error"))

    async def run_guarded(self, tell: Tell, action: Awaitable[object]) -> None:
        """Awaits the action; says privately what went wrong, if the person can do something."""
        try:
            await action
        except UserError as error:
            logger.info("refused: %s", error)
            await tell(error.user_text)
        except SlackApiError as error:
            if error.response.get("error") in LATE:
                await tell(TOO_LATE)
                return
            logger.exception("a person's request failed")
            await tell(FAILED)
        except BotError:
            logger.exception("a person's request failed")
            await tell(FAILED)
