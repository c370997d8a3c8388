"""The model's door: chat completions and the list of models, with the key added on the way."""

import logging
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from bot.gateway.doors import Doors
from bot.gateway.relay import BodyTooLargeError, UpstreamError, forwarded_headers, relay

PREFIX = "/model/v1"

_log = logging.getLogger(__name__)


class ModelDoor:
    """Forwards the two calls an agent may make to the provider; everything else is 404.

    `key_of` gives the key for an agent's calls, asked at each of them.
    """

    def __init__(
        self,
        doors: Doors,
        session: aiohttp.ClientSession,
        base_url: str,
        key_of: Callable[[str], Awaitable[SecretStr]],
    ) -> None:
        self._doors = doors
        self._session = session
        self._base_url = base_url
        self._key_of = key_of

    def routes(self) -> list[web.RouteDef]:
        """The routes of this door."""
        return [
            web.post(f"{PREFIX}/chat/completions", self._chat),
            web.get(f"{PREFIX}/models", self._models, allow_head=False),
        ]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._pass(request, "/chat/completions")

    async def _models(self, request: web.Request) -> web.StreamResponse:
        return await self._pass(request, "/models")

    async def _pass(self, request: web.Request, path: str) -> web.StreamResponse:
        admitted = self._doors.admitted(request.headers.get("Authorization", ""))
        if admitted is None:
            return _problem(401, "This agent's token is not valid here, or the agent has ended.")
        headers = forwarded_headers(request.headers)
        headers["User-Agent"] = "threadsmith"
        if key := (await self._key_of(admitted[0])).get_secret_value():
            headers["Authorization"] = f"Bearer {key}"
        try:
            return await relay(request, self._session, self._base_url + path, headers)
        except BodyTooLargeError:
            return _problem(413, "The request is larger than 20 MiB.")
        except UpstreamError as error:
            _log.warning("agent %s: the model provider did not answer: %s", admitted[0], error)
            return _problem(502, "The model provider could not be reached.")


def _problem(status: int, message: str) -> web.Response:
    """An error in the provider's own shape, so that any client understands it."""
    response = web.json_response({"error": {"code": status, "message": message}}, status=status)
    if status == 413:  # noqa: PLR2004  (the rest of the body is not worth reading)
        response.force_close()
    return response
