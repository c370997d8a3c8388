"""The git host as the bot sees it: where a repository lies, and how it is asked for its refs."""

import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import aiohttp
from cachetools import LRUCache
from multidict import CIMultiDict
from pydantic import SecretStr
from yarl import URL

from bot.domain.agent import RepoRef
from bot.gateway.upstream import TIMEOUT

_MAX_REDIRECTS = 3
MAX_REFS_BYTES = 16 * 1024 * 1024
MOST_BASES = 1_000  # the next fetch looks a forgotten one up again
_REFS = "/info/refs"
UPLOAD, RECEIVE = "git-upload-pack", "git-receive-pack"
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HostUnreachableError(Exception):
    """The git host did not answer."""


class GitHost:
    """A host of repositories over smart HTTP, asked with the token for each, if there is one."""

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
        """What every request about it carries: our name, and its token if there is one."""
        ours = CIMultiDict({"User-Agent": "git/2.0 (threadsmith)"})
        if token := (await self._token_of(repo)).get_secret_value():
            value = base64.b64encode(f"x-access-token:{token}".encode()).decode()
            ours["Authorization"] = f"Basic {value}"
        return ours

    def base(self, repo: RepoRef) -> str:
        """Return the repository's address: where its refs were last found."""
        return self._bases.get(repo, f"{self.url}/{repo}.git")

    @contextlib.asynccontextmanager
    async def refs(
        self, repo: RepoRef, headers: Mapping[str, str], service: str = UPLOAD
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask for the refs and give the answer, whatever its status; remember where it came from.

        A renamed repository is followed on the same host only, since the token goes along. A
        host that knows no `.git` ending is asked without it. Raises HostUnreachableError.
        """
        everything = CIMultiDict({**headers, **await self.headers(repo)})
        try:
            upstream = await self._ask(f"{self.url}/{repo}.git", everything, service)
            if upstream.status == 404:  # noqa: PLR2004
                upstream.release()
                upstream = await self._ask(f"{self.url}/{repo}", everything, service)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise HostUnreachableError(f"{type(error).__name__}: {error}") from error
        async with upstream:
            if is_success(upstream, service):
                self._bases[repo] = str(upstream.url.with_query(None)).removesuffix(_REFS)
            yield upstream

    async def _ask(
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


def is_success(upstream: aiohttp.ClientResponse, service: str = UPLOAD) -> bool:
    """Whether the answer is an advertisement of refs, and not a page for people."""
    return upstream.status == 200 and upstream.content_type.startswith(  # noqa: PLR2004
        f"application/x-{service}-advertisement"
    )


def _redirected(upstream: aiohttp.ClientResponse) -> URL | None:
    """Where to ask next: the same host, no weaker scheme, still a repository's refs."""
    if upstream.status not in _REDIRECTS or "Location" not in upstream.headers:
        return None
    here = upstream.url
    target = here.join(URL(upstream.headers["Location"]))
    same_host = target.host == here.host and (
        (target.scheme, target.port) == (here.scheme, here.port)
        or (here.scheme, target.scheme) == ("http", "https")
    )
    return target if same_host and target.path.endswith(_REFS) else None
