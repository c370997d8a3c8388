"""Makes a model call for an agent through the agent's own listener, so that its budget pays."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.domain.agent import Agent, RepoRef
from bot.domain.container import Access
from bot.files import BodyTooLargeError, read_bounded, socket_address
from bot.gateway.upstream import MAX_API_ANSWER_BYTES
from bridge.container import GATEWAY_SOCKET_NAME

_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=5)
_MAX_ANSWER_TOKENS = 1_500

_log = logging.getLogger(__name__)


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")
    content: str | None = None


class _Choice(BaseModel):
    model_config = ConfigDict(extra="ignore")
    message: _Message


class _Completion(BaseModel):
    model_config = ConfigDict(extra="ignore")
    choices: tuple[_Choice, ...] = Field(min_length=1)


class CompletionClient:
    """Lets an agent's model write a text, with the limits, the budget and the key of the agent.

    `access_of` gives the addresses and the token of an agent.
    """

    def __init__(
        self, session: aiohttp.ClientSession, access_of: Callable[[str, RepoRef], Access]
    ) -> None:
        self._session = session
        self._access_of = access_of

    async def write(self, agent: Agent, instructions: str, text: str) -> str:
        """Returns what the agent's model wrote; "" without an answer, or without budget."""
        access = self._access_of(agent.id, agent.repo)
        call = {
            "model": agent.model,
            "max_tokens": _MAX_ANSWER_TOKENS,
            "messages": [
                {"role": "system", "content": instructions},
                {"role": "user", "content": text},
            ],
        }
        headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
        url = f"{access.model_base_url}/chat/completions"
        try:
            async with (
                self._session_for(access) as session,
                session.post(
                    url, json=call, headers=headers, allow_redirects=False, timeout=_TIMEOUT
                ) as answer,
            ):
                body = await read_bounded(answer.content.iter_any(), MAX_API_ANSWER_BYTES)
                if answer.status != 200:  # noqa: PLR2004
                    _log.info("agent %s: nothing was written (%d)", agent.id, answer.status)
                    return ""
                return _Completion.model_validate_json(body).choices[0].message.content or ""
        except (
            aiohttp.ClientError,
            OSError,
            TimeoutError,
            BodyTooLargeError,
            ValidationError,
        ) as error:
            _log.info("agent %s: nothing was written: %s", agent.id, type(error).__name__)
            return ""

    @asynccontextmanager
    async def _session_for(self, access: Access) -> AsyncIterator[aiohttp.ClientSession]:
        """Gives a session to the shared port, or to the agent's socket on a sealed network."""
        if access.folders is None:
            yield self._session
            return
        with socket_address(access.folders.gateway / GATEWAY_SOCKET_NAME) as path:
            connector = aiohttp.UnixConnector(path)
            async with aiohttp.ClientSession(connector=connector) as session:
                yield session
