"""Speaks to the REST API of GitHub, and of hosts like it: pull requests, lists of repositories."""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from bot.domain.agent import RepoRef
from bot.domain.bounded_json import CostlyJsonError, check_json
from bot.domain.pull_request import PullRequest, PullState
from bot.errors import InvalidCommand, NothingToPropose, RepositoryError
from bot.files import BodyTooLargeError, read_bounded
from bot.shared_answers import SharedAnswers

CACHE_SECONDS = 300.0
# A host that is silent is not asked again at each key that somebody types.
SILENT_SECONDS = 30.0
_PAGE, _MOST_PAGES = 100, 5
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
_PAGE_TIMEOUT = aiohttp.ClientTimeout(total=2, sock_connect=1)
_MAX_ANSWER_BYTES = 1024 * 1024
_MAX_PULLS_BYTES = 2 * 1024 * 1024
_MAX_PAGE_BYTES = 4 * 1024 * 1024

_log = logging.getLogger(__name__)
_Shape = TypeVar("_Shape")


@dataclass(frozen=True, slots=True)
class ApiResponse:
    """The answer of the API to one request."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class GithubClient:
    """Sends requests to the API at `base_url`: no redirects, bounded answers, errors in words."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base_url = base_url

    async def send(
        self,
        method: str,
        path: str,
        token: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        limit_bytes: int = _MAX_ANSWER_BYTES,
        timeout: aiohttp.ClientTimeout = _TIMEOUT,
    ) -> ApiResponse:
        """Sends a request, with `token` unless it is empty; raises RepositoryError without answer.

        Any status is an answer.
        """
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "threadsmith"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                params=query,
                json=body,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                content = await read_bounded(response.content.iter_any(), limit_bytes)
                return ApiResponse(response.status, content, response.headers)
        except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
            raise RepositoryError(
                "The git host's API does not answer. Try again in a few minutes, or ask an admin "
                "to check GITHUB_API_URL.",
                f"{method} {self._base_url}{path}: {type(error).__name__}: {error}",
            ) from error


class _Pull(BaseModel):
    model_config = ConfigDict(extra="ignore")
    number: int
    html_url: str = Field(max_length=2_000, pattern=r"^https?://[^\s<>|]+$")
    title: str = Field(default="", max_length=10_000)
    state: str = Field(max_length=20)
    merged_at: str | None = None

    def pull_request(self) -> PullRequest:
        """Returns it as a value of the domain."""
        closed = PullState.MERGED if self.merged_at else PullState.CLOSED
        state = PullState.OPEN if self.state == "open" else closed
        return PullRequest(self.number, self.html_url, self.title, state)


_PULLS = TypeAdapter(list[_Pull])


class HostPulls:
    """Implements the PullRequestHost port for GitHub and what speaks like it."""

    def __init__(
        self,
        client: GithubClient,
        host_url: str,
        token_of: Callable[[RepoRef], Awaitable[SecretStr]],
    ) -> None:
        self._client = client
        self._host_url = host_url
        self._token_of = token_of

    async def find(self, repo: RepoRef, branch: str) -> PullRequest | None:
        """Returns the newest pull request of this branch; raises RepositoryError."""
        query = {"head": f"{repo.owner}:{branch}", "state": "all", "per_page": "1"}
        response = await self._send("GET", repo, query=query)
        if response.status != 200:  # noqa: PLR2004
            raise _refused(repo, response.status)
        pulls = _read(_PULLS, response.body)
        return pulls[0].pull_request() if pulls else None

    async def create(
        self, repo: RepoRef, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        """Opens a pull request; raises NothingToPropose if nothing differs, or RepositoryError."""
        fields = {"title": title, "head": branch, "base": base, "body": body}
        response = await self._send("POST", repo, body=fields)
        if response.status == 201:  # noqa: PLR2004
            return _read(TypeAdapter(_Pull), response.body).pull_request()
        if response.status == 422:  # noqa: PLR2004
            text = response.body.decode(errors="replace")
            if "No commits between" in text:
                raise NothingToPropose(f"The branch holds nothing that `{base}` does not.")
            # Somebody else was faster: then theirs counts.
            if "already exists" in text and (pull := await self.find(repo, branch)):
                return pull
            _log.warning("the git host takes no pull request for %s: %s", repo, text[:500])
        raise _refused(repo, response.status)

    def compare_url(self, repo: RepoRef, branch: str, base: str) -> str:
        """Returns the address where a person opens a pull request by hand."""
        names = f"{quote(base, safe='/')}...{quote(branch, safe='/')}"
        return f"{self._host_url}/{repo}/compare/{names}?expand=1"

    def branch_url(self, repo: RepoRef, branch: str) -> str:
        """Returns the address where a person sees the branch."""
        return f"{self._host_url}/{repo}/tree/{quote(branch, safe='/')}"

    async def _send(
        self,
        method: str,
        repo: RepoRef,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> ApiResponse:
        token = (await self._token_of(repo)).get_secret_value()
        path = f"/repos/{repo}/pulls"
        return await self._client.send(
            method, path, token, query=query, body=body, limit_bytes=_MAX_PULLS_BYTES
        )


def _read(adapter: TypeAdapter[_Shape], body: bytes) -> _Shape:
    try:
        check_json(body)
        return adapter.validate_json(body)
    except (CostlyJsonError, ValidationError) as error:
        raise RepositoryError(
            "The git host's API answered in another way than GitHub's. Ask an admin to check "
            "GITHUB_API_URL.",
            f"the answer has another shape: {type(error).__name__}",
        ) from error


def _refused(repo: RepoRef, status: int) -> RepositoryError:
    log_text = f"pull requests of {repo}: {status}"
    match status:
        case 401 | 403 | 404:
            text = (
                f"The git host lets this token open no pull request for `{repo}` ({status}). Ask "
                'an admin to give it the right "Pull requests: write".'
            )
        case 422:
            text = f"The git host does not take a pull request for `{repo}` as it is."
        case _:
            text = f"The git host's API has a problem ({status}). Try again in a few minutes."
    return RepositoryError(text, log_text)


class _ListedRepository(BaseModel):
    model_config = ConfigDict(extra="ignore")
    full_name: str


_PAGES = TypeAdapter(list[_ListedRepository])


class RepositoryList:
    """Lists what the token can see: at most 500 names, the newest pushed first.

    The host is asked at most once in five minutes. An App's tokens each open one repository, so
    with an App alone there is no list.
    """

    def __init__(
        self,
        client: GithubClient,
        token: SecretStr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._token = token
        self._clock = clock
        self._asked: SharedAnswers[str, None] = SharedAnswers()
        self._cached: Sequence[str] = ()
        self._fresh_until = float("-inf")

    @property
    def is_available(self) -> bool:
        """Returns whether there is a token to ask with."""
        return bool(self._token.get_secret_value())

    async def names(self) -> Sequence[str]:
        """Returns the names; the last known ones, or none, when the host does not tell."""
        if not self.is_available:
            return ()
        if self._clock() >= self._fresh_until:
            await self._asked.get("repositories", self._refresh)
        return self._cached

    async def _refresh(self) -> None:
        try:
            self._cached = await self._pages()
            self._fresh_until = self._clock() + CACHE_SECONDS
        except RepositoryError as error:
            _log.warning("the git host lists no repositories: %s", error)
            self._fresh_until = self._clock() + SILENT_SECONDS

    async def _pages(self) -> list[str]:
        names: list[str] = []
        for number in range(1, _MOST_PAGES + 1):
            page = await self._page(number)
            names += [name for name in page if _is_name(name)]
            if len(page) < _PAGE:
                break
        return list(dict.fromkeys(names))

    async def _page(self, number: int) -> list[str]:
        response = await self._client.send(
            "GET",
            "/user/repos",
            self._token.get_secret_value(),
            query={"per_page": str(_PAGE), "page": str(number), "sort": "pushed"},
            limit_bytes=_MAX_PAGE_BYTES,
            timeout=_PAGE_TIMEOUT,
        )
        if response.status != 200:  # noqa: PLR2004
            raise RepositoryError(f"The git host's API answered {response.status}.")
        return [repository.full_name for repository in _read(_PAGES, response.body)]


def _is_name(name: str) -> bool:
    try:
        RepoRef.parse(name)
    except InvalidCommand:
        return False
    return True
