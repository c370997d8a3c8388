"""Pull requests at the git host's API, with the token that is stored for the repository."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar
from urllib.parse import quote

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from bot.domain.agent import RepoRef
from bot.domain.pull_request import PullRequest, PullState
from bot.errors import NothingToPropose, RepositoryError
from bot.files import BodyTooLargeError, read_bounded

_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
_MAX_PULLS_BYTES = 2 * 1024 * 1024

_log = logging.getLogger(__name__)
_Shape = TypeVar("_Shape")


class _Pull(BaseModel):
    model_config = ConfigDict(extra="ignore")
    number: int
    html_url: str = Field(max_length=2_000, pattern=r"^https?://[^\s<>|]+$")
    title: str = Field(default="", max_length=10_000)
    state: str = Field(max_length=20)
    merged_at: str | None = None

    def read(self) -> PullRequest:
        """As data of ours."""
        closed = PullState.MERGED if self.merged_at else PullState.CLOSED
        state = PullState.OPEN if self.state == "open" else closed
        return PullRequest(self.number, self.html_url, self.title, state)


_PULLS = TypeAdapter(list[_Pull])


class HostPulls:
    """Implements the PullRequestHost port for GitHub and what speaks like it."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        host_url: str,
        token_of: Callable[[RepoRef], Awaitable[SecretStr]],
    ) -> None:
        self._session = session
        self._api_url = api_url
        self._host_url = host_url
        self._token_of = token_of

    async def find(self, repo: RepoRef, branch: str) -> PullRequest | None:
        """The newest pull request of this branch; raises RepositoryError."""
        query = {"head": f"{repo.owner}:{branch}", "state": "all", "per_page": "1"}
        status, body = await self._ask("GET", repo, f"/repos/{repo}/pulls", query=query)
        if status != 200:  # noqa: PLR2004
            raise _refused(repo, status)
        found = _read(_PULLS, body)
        return found[0].read() if found else None

    async def create(
        self, repo: RepoRef, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        """Open one; raises RepositoryError, and NothingToPropose when there is no difference."""
        wish = {"title": title, "head": branch, "base": base, "body": body}
        status, answer = await self._ask("POST", repo, f"/repos/{repo}/pulls", body=wish)
        if status == 201:  # noqa: PLR2004
            return _read(TypeAdapter(_Pull), answer).read()
        if status == 422:  # noqa: PLR2004
            said = answer.decode(errors="replace")
            if "No commits between" in said:
                raise NothingToPropose(f"The branch holds nothing that `{base}` does not.")
            # Somebody else was faster: then theirs is the one.
            if "already exists" in said and (found := await self.find(repo, branch)):
                return found
            _log.warning("the git host takes no pull request for %s: %s", repo, said[:500])
        raise _refused(repo, status)

    def compare_url(self, repo: RepoRef, branch: str, base: str) -> str:
        """Where a person opens one by hand."""
        names = f"{quote(base, safe='/')}...{quote(branch, safe='/')}"
        return f"{self._host_url}/{repo}/compare/{names}?expand=1"

    def branch_url(self, repo: RepoRef, branch: str) -> str:
        """Where a person sees the branch."""
        return f"{self._host_url}/{repo}/tree/{quote(branch, safe='/')}"

    async def _ask(
        self,
        method: str,
        repo: RepoRef,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        headers = {"Accept": "application/vnd.github+json", "User-Agent": "threadsmith"}
        if token := (await self._token_of(repo)).get_secret_value():
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with self._session.request(
                method,
                self._api_url + path,
                params=query,
                json=body,
                headers=headers,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as answer:
                return answer.status, await read_bounded(
                    answer.content.iter_any(), _MAX_PULLS_BYTES
                )
        except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
            raise RepositoryError(
                "The git host's API does not answer. Try again in a few minutes, or ask an admin "
                "to check GITHUB_API_URL.",
                f"{method} {path}: {type(error).__name__}: {error}",
            ) from error


def _read(adapter: TypeAdapter[_Shape], body: bytes) -> _Shape:
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        raise RepositoryError(
            "The git host's API answered in another way than GitHub's. Ask an admin to check "
            "GITHUB_API_URL.",
            f"not a pull request: {error.error_count()} errors",
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
