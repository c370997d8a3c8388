"""Short-lived permissions that travel in payloads: trigger ids and response urls."""

from collections.abc import Callable
from dataclasses import dataclass

from playground.slack.errors import SlackError
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import Json

RESPONSE_URL_USES = 5


@dataclass(slots=True)
class Trigger:
    user: str
    expires: float
    view_id: str | None = None
    used: bool = False


@dataclass(slots=True)
class ResponseUrl:
    """The target of an answer; `message_ts` is set when a message of that channel was acted on."""

    channel: str
    user: str
    expires: float
    message_ts: str | None = None
    thread_ts: str | None = None
    ephemeral: bool = False
    uses: int = 0


class TriggerTokens:
    """Hands out trigger ids (one use, 3 s) and response urls (5 uses, 30 min), and takes them."""

    def __init__(self, settings: SlackSettings, new_token: Callable[[str], str]) -> None:
        self.base_url = ""
        self._settings = settings
        self._new_token = new_token
        self._triggers: dict[str, Trigger] = {}
        self._urls: dict[str, ResponseUrl] = {}

    def trigger(self, user: str, view_id: str | None = None) -> str:
        trigger_id = f"1337.42.{self._new_token('trigger')}"
        expires = self._settings.clock() + self._settings.trigger_seconds
        self._triggers[trigger_id] = Trigger(user, expires, view_id)
        return trigger_id

    def take_trigger(self, trigger_id: str) -> Trigger:
        """Use a trigger id; raises invalid_, expired_ or exchanged_trigger_id."""
        trigger = self._triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if trigger.expires < self._settings.clock():
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger

    def response_url(
        self,
        user: str,
        channel: str,
        *,
        message_ts: str | None = None,
        thread_ts: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        token = self._new_token("response")
        expires = self._settings.clock() + self._settings.response_url_seconds
        self._urls[token] = ResponseUrl(channel, user, expires, message_ts, thread_ts, ephemeral)
        return f"{self.base_url}/response/{token}"

    def take_response_url(self, token: str) -> ResponseUrl:
        """Use a response url once; raises expired_url or used_url."""
        url = self._urls.get(token)
        if url is None or url.expires < self._settings.clock():
            raise SlackError("expired_url", status=404)
        if url.uses >= RESPONSE_URL_USES:
            raise SlackError("used_url", status=404)
        url.uses += 1
        return url

    def both(
        self,
        user: str,
        channel: str,
        *,
        message_ts: str | None = None,
        thread_ts: str | None = None,
        ephemeral: bool = False,
    ) -> Json:
        """Return the tokens of a command, an action on a message or a message shortcut."""
        url = self.response_url(
            user, channel, message_ts=message_ts, thread_ts=thread_ts, ephemeral=ephemeral
        )
        return {"response_url": url, "trigger_id": self.trigger(user)}
