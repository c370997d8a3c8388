"""The git door: fetching the agent's one repository over smart HTTP, with the token added."""

import logging

from aiohttp import web
from multidict import CIMultiDict

from bot.domain.agent import RepoRef
from bot.gateway.doors import Doors
from bot.gateway.git_host import GitHost, HostUnreachableError, is_success
from bot.gateway.relay import (
    BodyTooLargeError,
    UpstreamError,
    answer,
    forwarded_headers,
    relay,
)

PREFIX = "/git"

_log = logging.getLogger(__name__)
_NO_PUSH = "Pushing is not enabled yet. Commit; the changes are collected from the workspace."


class GitDoor:
    """Forwards `git clone` and `git fetch` of the agent's repository, and nothing else."""

    def __init__(self, doors: Doors, host: GitHost) -> None:
        self._doors = doors
        self._host = host

    def routes(self) -> list[web.RouteDef]:
        """The routes of this door."""
        base = f"{PREFIX}/{{owner}}/{{name}}"
        return [
            web.get(f"{base}/info/refs", self._refs, allow_head=False),
            web.post(f"{base}/git-upload-pack", self._fetch),
            web.post(f"{base}/git-receive-pack", self._push),
        ]

    async def _refs(self, request: web.Request) -> web.StreamResponse:
        repo = self._repository(request)
        if isinstance(repo, web.Response):
            return repo
        match request.query.getall("service", []):
            case ["git-upload-pack"]:
                pass
            case ["git-receive-pack"]:
                return _refused(403, _NO_PUSH)
            case _:
                return _refused(403, "Only git's smart HTTP protocol is served here.")
        try:
            async with self._host.refs(repo, forwarded_headers(request.headers)) as upstream:
                if not is_success(upstream):
                    status = 404 if upstream.status < 500 else 502  # noqa: PLR2004
                    return _refused(status, f"The git host answered {upstream.status} for {repo}.")
                return await answer(request, upstream)
        except HostUnreachableError as error:
            return _unreachable(repo, error)

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        repo = self._repository(request)
        if isinstance(repo, web.Response):
            return repo
        ours = await self._host.headers(repo)
        headers = CIMultiDict({**forwarded_headers(request.headers), **ours})
        url = f"{self._host.base(repo)}/git-upload-pack"
        try:
            return await relay(request, self._host.session, url, headers)
        except BodyTooLargeError:
            return _refused(413, "The request is larger than 20 MiB.")
        except UpstreamError as error:
            return _unreachable(repo, error)

    async def _push(self, request: web.Request) -> web.StreamResponse:
        repo = self._repository(request)
        return repo if isinstance(repo, web.Response) else _refused(403, _NO_PUSH)

    def _repository(self, request: web.Request) -> RepoRef | web.Response:
        """Return the agent's repository when the path names it, and the refusal otherwise."""
        admitted = self._doors.admitted(request.headers.get("Authorization", ""))
        if admitted is None:
            refusal = _refused(401, "This agent's token is not valid here, or it has ended.")
            # git sends the credentials of its helper only after it was asked to.
            refusal.headers["WWW-Authenticate"] = 'Basic realm="threadsmith"'
            return refusal
        agent_id, repo = admitted
        owner, name = request.match_info["owner"], request.match_info["name"]
        asked = (owner.lower(), name.removesuffix(".git").lower())
        if asked != (repo.owner.lower(), repo.name.lower()):
            _log.warning("agent %s was refused another repository", agent_id)
            return _refused(403, f"This agent may fetch only {repo}.")
        return repo


def _refused(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=text + "\n")
    response.force_close()  # a body that nobody reads must not become the next request
    return response


def _unreachable(repo: RepoRef, error: Exception) -> web.Response:
    _log.warning("the git host did not answer for %s: %s", repo, error)
    return _refused(502, "The git host could not be reached.")
