"""Asks the git host about a repository: where it lies, what its refs are, where to start from."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
from cachetools import LRUCache
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from bot.domain.agent import RepoRef
from bot.domain.near_names import near_names
from bot.domain.quoting import code
from bot.errors import RepositoryError
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.git.pkt_line import (
    NotGitError,
    Refs,
    ls_refs_request,
    read_advertisement,
    read_ls_refs,
    speaks_version_2,
)
from bot.gateway.upstream import TIMEOUT

_MAX_REDIRECTS = 3
# A repository with 100,000 branches lists them in about 8 MB.
MAX_REFS_BYTES = 16 * 1024 * 1024
MOST_BASES = 1_000  # of a repository beyond these, the next fetch looks the address up again
_REFS = "/info/refs"
UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LIST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
_LIST_HEADERS = {"Git-Protocol": "version=2", "Accept-Encoding": "identity"}
# A repository may have as many branches as its people like: they are read in a thread, by then.
_CHOICE_SECONDS = 10.0


class HostUnreachableError(Exception):
    """The git host did not answer."""


class GitHost:
    """Asks a host over smart HTTP, with the token for each repository, if there is one."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        token_of: Callable[[RepoRef], Awaitable[SecretStr]],
    ) -> None:
        self.session = session
        self.url = url
        self._token_of = token_of
        self._bases: LRUCache[RepoRef, str] = LRUCache(MOST_BASES)

    async def headers(self, repo: RepoRef) -> CIMultiDict[str]:
        """Returns the headers of a request about it: our name, and its token if there is one."""
        headers = CIMultiDict({"User-Agent": "git/2.0 (threadsmith)"})
        if token := (await self._token_of(repo)).get_secret_value():
            value = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            headers["Authorization"] = f"Basic {value}"
        return headers

    def base(self, repo: RepoRef) -> str:
        """Returns the repository's address, where its refs were last read from."""
        return self._bases.get(repo, f"{self.url}/{repo}.git")

    @contextlib.asynccontextmanager
    async def open_refs(
        self, repo: RepoRef, headers: Mapping[str, str], service: str = UPLOAD
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Asks for the refs and gives the answer, whatever its status; remembers its address.

        A renamed repository is followed on the same host only, since the token goes along. A
        host that knows no `.git` ending is asked without it. Raises HostUnreachableError.
        """
        everything = CIMultiDict({**headers, **await self.headers(repo)})
        try:
            upstream = await self._ask_refs(f"{self.url}/{repo}.git", everything, service)
            if upstream.status == 404:  # noqa: PLR2004
                upstream.release()
                upstream = await self._ask_refs(f"{self.url}/{repo}", everything, service)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise HostUnreachableError(f"{type(error).__name__}: {error}") from error
        async with upstream:
            if is_success(upstream, service):
                self._bases[repo] = str(upstream.url.with_query(None)).removesuffix(_REFS)
            yield upstream

    async def _ask_refs(
        self, base: str, headers: CIMultiDict[str], service: str
    ) -> aiohttp.ClientResponse:
        url = URL(base + _REFS, encoded=True).with_query(service=service)
        for _ in range(_MAX_REDIRECTS + 1):
            upstream = await self.session.get(
                url,
                headers=headers,
                skip_auto_headers=("Accept", "Accept-Encoding"),
                allow_redirects=False,
                auto_decompress=False,
                timeout=TIMEOUT,
            )
            target = _redirected(upstream)
            if target is None:
                return upstream
            upstream.release()
            url = target
        raise aiohttp.ClientError("too many redirects")

    async def choose_branch(self, repo: RepoRef, branch: str | None) -> str:
        """Returns the branch to start from: `branch` if it exists, the default one if None.

        Raises RepositoryError with a text for the person who asked.
        """
        try:
            refs = await self._read_refs(repo)
        except (HostUnreachableError, aiohttp.ClientError, TimeoutError) as error:
            raise RepositoryError(
                f"The git host {self.url} does not answer. Try again in a few minutes, or "
                "ask an admin to check GITHUB_URL. Nothing was started.",
                f"{repo}: {type(error).__name__}: {error}",
            ) from error
        except (NotGitError, BodyTooLargeError) as error:
            raise RepositoryError(
                f"Could not clone `{repo}`: {self.url} did not answer like a git server. "
                "Ask an admin to check GITHUB_URL. Nothing was started.",
                f"{repo}: {type(error).__name__}: {error}",
            ) from error
        try:
            async with asyncio.timeout(_CHOICE_SECONDS):
                return await asyncio.to_thread(chosen_branch, repo, branch, refs)
        except TimeoutError as error:
            raise RepositoryError(
                f"`{repo}` has more branches than could be looked through in time. Try again in a "
                "minute. Nothing was started."
            ) from error

    async def _read_refs(self, repo: RepoRef) -> Refs:
        async with self.open_refs(repo, _LIST_HEADERS) as answer:
            if not is_success(answer):
                raise _not_cloneable(repo, answer)
            advertisement = await read_bounded(answer.content.iter_any(), MAX_REFS_BYTES)
        if not await asyncio.to_thread(speaks_version_2, advertisement):
            return await asyncio.to_thread(read_advertisement, advertisement)
        return await self._list_refs(repo)

    async def _list_refs(self, repo: RepoRef) -> Refs:
        url = f"{self.base(repo)}/git-upload-pack"
        async with self.session.post(
            url,
            data=ls_refs_request(),
            headers={
                **await self.headers(repo),
                **_LIST_HEADERS,
                "Content-Type": "application/x-git-upload-pack-request",
                "Accept": "application/x-git-upload-pack-result",
            },
            allow_redirects=False,
            timeout=_LIST_TIMEOUT,
        ) as answer:
            if answer.status != 200:  # noqa: PLR2004
                raise NotGitError(f"ls-refs was answered with {answer.status}")
            listed = await read_bounded(answer.content.iter_any(), MAX_REFS_BYTES)
        return await asyncio.to_thread(read_ls_refs, listed)


def is_success(upstream: aiohttp.ClientResponse, service: str = UPLOAD) -> bool:
    """Checks that the answer is an advertisement of refs, and not a page for people."""
    return upstream.status == 200 and upstream.content_type.startswith(  # noqa: PLR2004
        f"application/x-{service}-advertisement"
    )


def _redirected(upstream: aiohttp.ClientResponse) -> URL | None:
    """Returns where to ask next: the same host, no weaker scheme, still a repository's refs."""
    if upstream.status not in _REDIRECTS or "Location" not in upstream.headers:
        return None
    here = upstream.url
    target = here.join(URL(upstream.headers["Location"]))
    same_host = target.host == here.host and (
        (target.scheme, target.port) == (here.scheme, here.port)
        or (here.scheme, target.scheme) == ("http", "https")
    )
    return target if same_host and target.path.endswith(_REFS) else None


def _not_cloneable(repo: RepoRef, answer: aiohttp.ClientResponse) -> RepositoryError:
    log_text = f"{repo}: {answer.url.origin()} answered {answer.status} {answer.content_type}"
    if answer.status >= 500 or answer.status == 429:  # noqa: PLR2004
        return RepositoryError(
            f"Could not clone `{repo}`: the git host has a problem ({answer.status}). Try again in "
            "a few minutes. Nothing was started.",
            log_text,
        )
    return RepositoryError(
        f"Could not clone `{repo}`: not found, or the bot's GitHub token has no access. Check the "
        "name, or ask an admin to add it. Nothing was started.",
        log_text,
    )


def chosen_branch(repo: RepoRef, branch: str | None, refs: Refs) -> str:
    """Returns `branch` if the refs hold it, the default one if None; raises RepositoryError."""
    if not refs.branches:
        raise RepositoryError(
            f"`{repo}` is empty: it has no branch to start from. Push a first commit and try "
            "again. Nothing was started."
        )
    if branch is None:
        if refs.default is None:
            named = code(f"{repo}@{refs.branches[0]}", 150)
            raise RepositoryError(
                f"`{repo}` names no default branch. Name one: {named}. Nothing was started."
            )
        return refs.default
    if branch not in refs.branches:
        near = near_names(branch, refs.branches, 0.5)
        others = near or ([refs.default] if refs.default else [])
        hint = " Did you mean " + " or ".join(code(name) for name in others) + "?"
        missing = f"`{repo}` has no branch {code(branch, 150)}."
        raise RepositoryError(f"{missing}{hint if others else ''} Nothing was started.")
    return branch
