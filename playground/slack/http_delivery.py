"""HTTP mode: payloads as signed POST requests to the app's request URL."""

import asyncio
import hashlib
import hmac
import json
from urllib.parse import urlencode

import aiohttp

from playground.slack.event_delivery import DeliveryFailed, OutgoingPayload
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import Json


class HttpDelivery:
    """The transport that calls the app; its session lives from the first request to `close`."""

    def __init__(self, settings: SlackSettings, request_url: str) -> None:
        self._settings = settings
        self._request_url = request_url
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, parcel: OutgoingPayload) -> Json | str | None:
        """POST one payload; the answer's body is the acknowledgement's payload."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        body, content_type = _body(parcel)
        headers = self.sign(body) | {"Content-Type": content_type}
        if parcel.attempt:
            headers |= {
                "X-Slack-Retry-Num": str(parcel.attempt),
                "X-Slack-Retry-Reason": parcel.reason,
            }
        try:
            async with (
                asyncio.timeout(self._settings.ack_timeout_seconds),
                self._session.post(self._request_url, data=body, headers=headers) as response,
            ):
                text = await response.text()
                final = response.headers.get("x-slack-no-retry") == "1"
                if not response.ok:
                    raise DeliveryFailed("http_error", final=final)
        except TimeoutError as error:
            raise DeliveryFailed("http_timeout") from error
        except aiohttp.ClientError as error:
            raise DeliveryFailed("connection_failed") from error
        return _answer(text)

    def sign(self, body: bytes) -> dict[str, str]:
        """The v0 signature of a body, at this moment."""
        timestamp = str(int(self._settings.clock()))
        base = b"v0:" + timestamp.encode() + b":" + body
        digest = hmac.new(self._settings.signing_secret.encode(), base, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": f"v0={digest}"}


def _body(parcel: OutgoingPayload) -> tuple[bytes, str]:
    form = "application/x-www-form-urlencoded"
    match parcel.kind:
        case "events_api":
            return json.dumps(parcel.payload).encode(), "application/json"
        case "slash_commands":
            return urlencode(parcel.payload).encode(), form
        case "interactive":
            return urlencode({"payload": json.dumps(parcel.payload)}).encode(), form


def _answer(text: str) -> Json | str | None:
    if not text.strip():
        return None
    try:
        answer = json.loads(text)
    except ValueError:
        return text
    return answer if isinstance(answer, dict | str) else text
