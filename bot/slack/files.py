"""Fetches files that people shared in Slack, from Slack's own file host and nowhere else."""

import logging
from typing import Any

import aiohttp
from pydantic import SecretStr
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from yarl import URL

from bot.errors import FileUnavailable
from bot.files import BodyTooLargeError, read_bounded

_log = logging.getLogger(__name__)

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
_OK = 200


class SlackFiles:
    """Fetches what people shared. The token goes to the host of the API and its subdomains only."""

    def __init__(
        self, client: AsyncWebClient, session: aiohttp.ClientSession, token: SecretStr
    ) -> None:
        self._client = client
        self._session = session
        self._token = token

    async def fetch(self, file_id: str, limit_bytes: int) -> bytes:
        """Returns the content of a file; raises FileUnavailable."""
        try:
            answer = await self._client.files_info(file=file_id)
            url = self._address(answer["file"])
            return await self._download(url, limit_bytes, _is_page(answer["file"]))
        except SlackApiError as error:
            code = str(error.response.get("error"))
            if code == "missing_scope":
                raise FileUnavailable(_SCOPE, code) from error
            raise FileUnavailable(f"Slack does not hand it out ({code}).", code) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise FileUnavailable("Slack did not answer.", type(error).__name__) from error

    def _address(self, file: dict[str, Any]) -> URL:
        address = str(file.get("url_private_download") or file.get("url_private") or "")
        url, home = URL(address), URL(self._client.base_url)
        own = url.host == home.host and url.port == home.port
        below = bool(url.host and home.host and url.host.endswith(f".{home.host}"))
        if url.scheme != home.scheme or not (own or (below and url.explicit_port is None)):
            _log.warning("a file is not at Slack's own host: %s", url.host)
            raise FileUnavailable("It does not lie in Slack itself.")
        return url

    async def _download(self, url: URL, limit_bytes: int, page: bool) -> bytes:
        headers = {"Authorization": f"Bearer {self._token.get_secret_value()}"}
        async with self._session.get(
            url, headers=headers, allow_redirects=False, timeout=_TIMEOUT
        ) as response:
            # Without the scope, Slack leads to its page for signing in instead of refusing.
            if response.status in {301, 302, 303, 307, 308} or (
                response.content_type == "text/html" and not page
            ):
                raise FileUnavailable(_SCOPE)
            if response.status != _OK:
                raise FileUnavailable(f"Slack does not hand it out ({response.status}).")
            try:
                return await read_bounded(response.content.iter_any(), limit_bytes)
            except BodyTooLargeError as error:
                text = f"It is larger than {limit_bytes // 2**20} MiB."
                raise FileUnavailable(text) from error


_SCOPE = "The app needs the scope files:read: ask an admin to add it and to reinstall the app."


def _is_page(file: dict[str, Any]) -> bool:
    return str(file.get("mimetype") or "").startswith("text/html")
