"""Which models the provider serves, and whether they can call tools."""

import asyncio
import difflib
import logging
import time
from collections.abc import Callable

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.errors import ModelUnusable
from bot.gateway.relay import BodyTooLargeError, read_bounded

CACHE_SECONDS = 600.0
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
_MAX_LIST_BYTES = 16 * 1024 * 1024
_NEAR_MATCHES = 3

_log = logging.getLogger(__name__)

# Model id → its parameters, None where the provider does not say.
_Models = dict[str, frozenset[str] | None]


class _Listed(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    supported_parameters: list[str] | None = None


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: list[_Listed]


class Catalogue:
    """The provider's list of models, asked for at most once in ten minutes."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        key: SecretStr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._key = key
        self._clock = clock
        self._lock = asyncio.Lock()
        self._cached: tuple[float, _Models | None] | None = None

    async def check(self, model: str) -> None:
        """Raise ModelUnusable when the model is known not to work with tools.

        A provider that lists no models, as many compatible servers do, is believed to have it.
        """
        models = await self._models()
        if models is None or model.startswith("@"):  # a preset is the account's own, never listed
            return
        # OpenRouter's `:nitro`, `:floor` and `:online` change the routing; the list has the base.
        listed = model if model in models else model.rpartition(":")[0]
        if listed not in models:
            near = difflib.get_close_matches(model, list(models), _NEAR_MATCHES, 0.4)
            hint = " Did you mean " + " or ".join(f"`{name}`" for name in near) + "?"
            raise ModelUnusable(
                f"The model provider knows no model `{model[:200]}`.{hint if near else ''}"
            )
        parameters = models[listed]
        if parameters is not None and "tools" not in parameters:
            raise ModelUnusable(
                f"`{model}` cannot call tools, so it cannot work on code. Choose another model."
            )

    async def _models(self) -> _Models | None:
        async with self._lock:
            now = self._clock()
            if self._cached is None or now - self._cached[0] >= CACHE_SECONDS:
                self._cached = (now, await self._ask())
            return self._cached[1]

    async def _ask(self) -> _Models | None:
        key = self._key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._session.get(
                f"{self._base_url}/models",
                headers=headers,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as answer:
                if answer.status in (401, 403):
                    raise ModelUnusable(
                        "The model key was refused. Ask an admin to check OPENROUTER_API_KEY.",
                        f"{self._base_url}/models answered {answer.status}",
                    )
                if answer.status != 200:  # noqa: PLR2004
                    _log.info("the provider lists no models: status %d", answer.status)
                    return None
                return _read(await read_bounded(answer, _MAX_LIST_BYTES))
        except BodyTooLargeError:
            _log.warning("the provider's list of models is too large to read")
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ModelUnusable(
                "The model provider does not answer. Try again in a few minutes, or ask an admin "
                "to check OPENROUTER_BASE_URL.",
                f"{self._base_url}/models: {type(error).__name__}: {error}",
            ) from error


def _read(body: bytes) -> _Models | None:
    try:
        found = _List.model_validate_json(body)
    except ValidationError:
        _log.info("the provider's list of models has another shape")
        return None
    return {
        item.id: None if item.supported_parameters is None else frozenset(item.supported_parameters)
        for item in found.data
    } or None
