"""The repositories that the bot's credentials can see, for people to choose from."""

import logging
import time
from collections.abc import Callable, Sequence

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, TypeAdapter, ValidationError

from bot.domain.agent import RepoRef
from bot.errors import InvalidCommand
from bot.files import BodyTooLargeError, read_bounded
from bot.shared_answers import SharedAnswers

CACHE_SECONDS = 300.0
# A host that is silent is not asked again at each key that somebody types.
SILENT_SECONDS = 30.0
_PAGE, _MOST_PAGES = 100, 5
_TIMEOUT = aiohttp.ClientTimeout(total=2, sock_connect=1)
_MAX_PAGE_BYTES = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


class _ListedRepository(BaseModel):
    model_config = ConfigDict(extra="ignore")
    full_name: str


_PAGES = TypeAdapter(list[_ListedRepository])


class RepositoryList:
    """At most 500 names, the newest pushed first, asked for at most once in five minutes.

    An App's tokens each open one repository, so with an App alone there is no list.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        token: SecretStr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._api_url = api_url
        self._token = token
        self._clock = clock
        self._asked: SharedAnswers[str, None] = SharedAnswers()
        self._kept: Sequence[str] = ()
        self._fresh_until = float("-inf")

    @property
    def is_there(self) -> bool:
        """Whether there is a token to ask with."""
        return bool(self._token.get_secret_value())

    async def all(self) -> Sequence[str]:
        """The names; the last known ones, or none, when the host does not tell."""
        if not self.is_there:
            return ()
        if self._clock() >= self._fresh_until:
            await self._asked.get("repositories", self._refresh)
        return self._kept

    async def _refresh(self) -> None:
        try:
            self._kept = await self._pages()
            self._fresh_until = self._clock() + CACHE_SECONDS
        except (aiohttp.ClientError, TimeoutError, BodyTooLargeError, ValidationError) as error:
            _log.warning("the git host lists no repositories: %s", type(error).__name__)
            self._fresh_until = self._clock() + SILENT_SECONDS

    async def _pages(self) -> list[str]:
        found: list[str] = []
        for number in range(1, _MOST_PAGES + 1):
            page = await self._page(number)
            found += [name for name in page if _is_name(name)]
            if len(page) < _PAGE:
                break
        return list(dict.fromkeys(found))

    async def _page(self, number: int) -> list[str]:
        headers = {
            "Authorization": f"Bearer {self._token.get_secret_value()}",
            "Accept": "application/vnd.github+json",
            "User-Agent": "threadsmith",
        }
        async with self._session.get(
            f"{self._api_url}/user/repos",
            params={"per_page": str(_PAGE), "page": str(number), "sort": "pushed"},
            headers=headers,
            allow_redirects=False,
            timeout=_TIMEOUT,
        ) as answer:
            if answer.status != 200:  # noqa: PLR2004
                raise aiohttp.ClientError(f"answered {answer.status}")
            listed = _PAGES.validate_json(
                await read_bounded(answer.content.iter_any(), _MAX_PAGE_BYTES)
            )
            return [one.full_name for one in listed]


def _is_name(name: str) -> bool:
    try:
        RepoRef.parse(name)
    except InvalidCommand:
        return False
    return True
