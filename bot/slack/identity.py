"""Who the bot is in Slack, and the client it speaks with."""

import logging
from dataclasses import dataclass

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.config import Settings
from bot.errors import ConfigurationError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the bot is in its workspace, as Slack says."""

    bot_user_id: str
    bot_name: str
    team: str
    workspace_url: str


def slack_client(settings: Settings, session: aiohttp.ClientSession) -> AsyncWebClient:
    """The client for the workspace of these settings."""
    return AsyncWebClient(
        token=settings.slack_bot_token.get_secret_value(),
        base_url=settings.slack_api_url,
        session=session,
        # The SDK's own retry would post a message twice; the outbox retries with care.
        retry_handlers=[],
    )


async def identify(client: AsyncWebClient) -> Identity:
    """Ask Slack who we are; raises ConfigurationError when the token does not work."""
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
    logger.info("in Slack as @%s in %s", answer.get("user"), answer.get("team"))
    return Identity(
        str(answer["user_id"]), str(answer["user"]), str(answer["team_id"]), str(answer["url"])
    )
