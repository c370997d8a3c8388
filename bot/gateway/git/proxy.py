"""Serves the agent's one repository over smart HTTP, and adds the token on the way."""

import logging

from aiohttp import web
from multidict import CIMultiDict

from bot.domain.agent import RepoRef
from bot.errors import RepositoryError
from bot.files import BodyTooLargeError
from bot.gateway.auth import GatewayAuth, ambiguity_of
from bot.gateway.git.host import RECEIVE, UPLOAD, GitHost, HostUnreachableError, is_success
from bot.gateway.git.push_policy import PushPolicy
from bot.gateway.http_connections import AGENT
from bot.gateway.upstream import UpstreamError, forward_request, forwarded_headers, stream_answer

PREFIX = "/git"

_log = logging.getLogger(__name__)
_NO_PUSH = "Pushing is not enabled here. Commit; the changes are collected from the workspace."


class GitProxy:
    """Forwards fetches of the agent's repository, and pushes to the agent's own branch.

    Without `pushes`, or for an agent without a branch, nothing is pushed.
    """

    def __init__(self, auth: GatewayAuth, host: GitHost, pushes: PushPolicy | None) -> None:
        self._auth = auth
        self._host = host
        self._pushes = pushes

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes of git."""
        base = f"{PREFIX}/{{owner}}/{{name}}"
        return [
            web.get(f"{base}/info/refs", self._refs, allow_head=False),
            web.post(f"{base}/{UPLOAD}", self._fetch),
            web.post(f"{base}/{RECEIVE}", self._push),
        ]

    async def _refs(self, request: web.Request) -> web.StreamResponse:
        identified = self._identify(request)
        if isinstance(identified, web.Response):
            return identified
        agent_id, repo = identified
        headers = forwarded_headers(request.headers)
        match request.query.getall("service", []):
            case ["git-upload-pack"]:
                service = UPLOAD
            case ["git-receive-pack"]:
                service = RECEIVE
                headers.popall("Git-Protocol", None)
                if self._pushes is None or await self._auth.branch_of(agent_id) is None:
                    return _refused(403, _NO_PUSH)
            case _:
                return _refused(403, "Only git's smart HTTP protocol is served here.")
        try:
            async with self._host.open_refs(repo, headers, service) as upstream:
                if not is_success(upstream, service):
                    status = 404 if upstream.status < 500 else 502  # noqa: PLR2004
                    return _refused(status, f"The git host answered {upstream.status} for {repo}.")
                return await stream_answer(request, upstream)
        except (HostUnreachableError, RepositoryError) as error:
            return _unreachable(repo, error)

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        identified = self._identify(request)
        if isinstance(identified, web.Response):
            return identified
        _, repo = identified
        url = f"{self._host.base(repo)}/{UPLOAD}"
        try:
            own_headers = await self._host.headers(repo)
            headers = CIMultiDict({**forwarded_headers(request.headers), **own_headers})
            return await forward_request(request, self._host.session, url, headers)
        except BodyTooLargeError:
            return _refused(413, "The request is larger than 20 MiB.")
        except (UpstreamError, RepositoryError) as error:
            return _unreachable(repo, error)

    async def _push(self, request: web.Request) -> web.StreamResponse:
        identified = self._identify(request)
        if isinstance(identified, web.Response):
            return identified
        agent_id, repo = identified
        branch = await self._auth.branch_of(agent_id)
        if self._pushes is None or branch is None:
            return _refused(403, _NO_PUSH)
        try:
            return await self._pushes.handle_push(request, agent_id, repo, branch)
        except (HostUnreachableError, UpstreamError, RepositoryError) as error:
            return _unreachable(repo, error)

    def _identify(self, request: web.Request) -> tuple[str, RepoRef] | web.Response:
        """Returns the agent and its repository if the path names that, and a refusal otherwise."""
        if reason := ambiguity_of(request):
            return _refused(400, reason)
        identified = self._auth.identify_agent(
            request.headers.get("Authorization", ""), request.app[AGENT]
        )
        if identified is None:
            refusal = _refused(401, "This agent's token is not valid here, or it has ended.")
            # git sends the credentials of its helper only after it was asked to.
            refusal.headers["WWW-Authenticate"] = 'Basic realm="threadsmith"'
            return refusal
        agent_id, repo = identified
        owner, name = request.match_info["owner"], request.match_info["name"]
        asked = (owner.lower(), name.removesuffix(".git").lower())
        if asked != (repo.owner.lower(), repo.name.lower()):
            _log.warning("agent %s was refused another repository", agent_id)
            return _refused(403, f"This agent may use only {repo}.")
        return agent_id, repo


def _refused(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=text + "\n")
    response.force_close()  # a body that nobody reads must not become the next request
    return response


def _unreachable(repo: RepoRef, error: Exception) -> web.Response:
    _log.warning("the git host did not answer for %s: %s", repo, error)
    return _refused(502, "The git host could not be reached.")
