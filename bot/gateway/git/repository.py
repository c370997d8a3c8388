"""Whether a repository and a branch can be cloned, asked before anything is started."""

import difflib
import logging

import aiohttp

from bot.domain.agent import RepoRef
from bot.domain.quoting import code
from bot.errors import RepositoryError
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.git.host import (
    MAX_REFS_BYTES,
    GitHost,
    HostUnreachableError,
    is_success,
)
from bot.gateway.git.pkt_line import (
    NotGitError,
    Refs,
    ls_refs_request,
    read_advertisement,
    read_ls_refs,
    speaks_version_2,
)

_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
# A repository with 100,000 branches lists them in about 8 MB.
_HEADERS = {"Git-Protocol": "version=2", "Accept-Encoding": "identity"}
_NEAR_MATCHES = 3

_log = logging.getLogger(__name__)


class RepositoryCheck:
    """Learns a repository's branches from the git host, with the bot's own token."""

    def __init__(self, host: GitHost) -> None:
        self._host = host

    async def branch(self, repo: RepoRef, branch: str | None) -> str:
        """Return the branch to start from: `branch` if it exists, the default one if None.

        Raises RepositoryError with a text for the person who asked.
        """
        try:
            refs = await self._refs(repo)
        except (HostUnreachableError, aiohttp.ClientError, TimeoutError) as error:
            raise RepositoryError(
                f"The git host {self._host.url} does not answer. Try again in a few minutes, or "
                "ask an admin to check GITHUB_URL. Nothing was started.",
                f"{repo}: {type(error).__name__}: {error}",
            ) from error
        except (NotGitError, BodyTooLargeError) as error:
            raise RepositoryError(
                f"Could not clone `{repo}`: {self._host.url} did not answer like a git server. "
                "Ask an admin to check GITHUB_URL. Nothing was started.",
                f"{repo}: {type(error).__name__}: {error}",
            ) from error
        return _chosen(repo, branch, refs)

    async def _refs(self, repo: RepoRef) -> Refs:
        async with self._host.refs(repo, _HEADERS) as answer:
            if not is_success(answer):
                raise _not_cloneable(repo, answer)
            advertisement = await read_bounded(answer.content.iter_any(), MAX_REFS_BYTES)
        if not speaks_version_2(advertisement):
            return read_advertisement(advertisement)
        return await self._listed(repo)

    async def _listed(self, repo: RepoRef) -> Refs:
        url = f"{self._host.base(repo)}/git-upload-pack"
        async with self._host.session.post(
            url,
            data=ls_refs_request(),
            headers={
                **await self._host.headers(repo),
                **_HEADERS,
                "Content-Type": "application/x-git-upload-pack-request",
                "Accept": "application/x-git-upload-pack-result",
            },
            allow_redirects=False,
            timeout=_TIMEOUT,
        ) as answer:
            if answer.status != 200:  # noqa: PLR2004
                raise NotGitError(f"ls-refs was answered with {answer.status}")
            return read_ls_refs(await read_bounded(answer.content.iter_any(), MAX_REFS_BYTES))


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


def _chosen(repo: RepoRef, branch: str | None, refs: Refs) -> str:
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
        near = difflib.get_close_matches(branch, refs.branches, _NEAR_MATCHES, 0.5)
        others = near or ([refs.default] if refs.default else [])
        hint = " Did you mean " + " or ".join(code(name) for name in others) + "?"
        missing = f"`{repo}` has no branch {code(branch, 150)}."
        raise RepositoryError(f"{missing}{hint if others else ''} Nothing was started.")
    return branch
