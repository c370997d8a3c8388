"""Tries a person's model key at the provider before it is stored."""

import asyncio
import logging

import aiohttp
from pydantic import SecretStr

from bot.errors import ModelUnusable

# A form waits for the answer, and Slack for the form: three seconds at the most.
_SECONDS = 2.0
_REFUSED = (401, 403)
_PRINTABLE = 127

_log = logging.getLogger(__name__)


class KeyCheck:
    """Asks the provider about a key; the caller keeps and closes `session`."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url

    async def check_key(self, key: SecretStr) -> None:
        """Raises ModelUnusable when the provider refuses the key, or does not answer.

        OpenRouter describes a key at `/key`, and lists its models for anybody; a provider without
        `/key` is asked for its models.
        """
        value = key.get_secret_value()
        if not all(" " < char < chr(_PRINTABLE) for char in value):
            raise ModelUnusable("That is not a key: it holds spaces or other characters.")
        deadline = asyncio.get_running_loop().time() + _SECONDS
        for path in ("/key", "/models"):
            status = await self._status(path, value, deadline)
            if status in _REFUSED:
                raise ModelUnusable(
                    f"The model provider refuses this key ({status}). It is not stored."
                )
            if 200 <= status < 300:  # noqa: PLR2004
                return
            _log.info("the provider answered %d at %s", status, path)
        # A server without either route has no objection to the key.

    async def _status(self, path: str, value: str, deadline: float) -> int:
        try:
            async with (
                asyncio.timeout_at(deadline),
                self._session.get(
                    self._base_url + path,
                    headers={"Authorization": f"Bearer {value}"},
                    allow_redirects=False,
                ) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ModelUnusable(
                "The model provider does not answer, so the key is not stored. Try again in a "
                "moment.",
                f"{self._base_url}{path}: {type(error).__name__}",
            ) from error
