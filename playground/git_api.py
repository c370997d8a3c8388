"""The part of GitHub's REST API that the product needs, over the playground's repositories."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from playground.event_feed import EventFeed
from playground.repositories import GitFailed

PREFIX = "/api/v3"
MAX_TITLE, MAX_BODY = 256, 65_536
DEFAULT_PAGE = 30

Json = dict[str, Any]


@dataclass(slots=True)
class Pull:
    """A pull request; `state` is open or closed, and a merged one is closed."""

    number: int
    title: str
    body: str
    head: str
    base: str
    state: str = "open"
    merged: bool = False


class GitApi:
    """Serves the REST API of one git server.

    `run` runs git in a repository, `allowed` checks a caller's rights, `listed` names the
    repositories that a caller may see.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        allowed: Callable[[web.Request, str], web.Response | None],
        listed: Callable[[web.Request], Sequence[str] | None],
        feed: EventFeed,
    ) -> None:
        self._run = run
        self._allowed = allowed
        self._listed = listed
        self._feed = feed
        self.url = ""
        self.pulls: dict[str, list[Pull]] = {}

    def page_of(self, name: str, number: int) -> str:
        """Return the address of a pull request for people."""
        return f"{self.url}/{name}/pull/{number}"

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call; an unknown path is 404."""
        match request.path.removeprefix(PREFIX).strip("/").split("/"):
            case ["repos", owner, repo, *segments]:
                name = f"{owner}/{repo}"
            case ["user", "repos"]:
                return self._list(request)
            case _:
                return _error(404, "Not Found")
        if (refusal := self._allowed(request, name)) is not None:
            return refusal
        answer = await self._answer(request, name, segments)
        self._feed.record(
            "git_api", repository=name, method=request.method, path=request.path,
            status=answer.status,
        )  # fmt: skip
        return answer

    def _list(self, request: web.Request) -> web.Response:
        names = self._listed(request)
        if names is None:
            return _error(401, "Requires authentication")
        size = int(request.query.get("per_page", DEFAULT_PAGE))
        first = (int(request.query.get("page", 1)) - 1) * size
        return web.json_response([{"full_name": name} for name in names[first : first + size]])

    async def _answer(
        self, request: web.Request, name: str, segments: Sequence[str]
    ) -> web.Response:
        match request.method, segments:
            case "GET", []:
                default = (await self._run(name, "symbolic-ref", "--short", "HEAD")).strip()
                return web.json_response(
                    {"full_name": name, "default_branch": default, "permissions": {"push": True}}
                )
            case "GET", ["pulls"]:
                return web.json_response(self._pulls_of(request, name))
            case "POST", ["pulls"]:
                return await self._create(name, await _body(request))
            case (("GET" | "PATCH"), ["pulls", number]) if pull := self._pull(name, number):
                if request.method == "PATCH":
                    _change(pull, await _body(request))
                return web.json_response(self._shown(name, pull))
            case _:
                return _error(404, "Not Found")

    def _pulls_of(self, request: web.Request, name: str) -> list[Json]:
        state = request.query.get("state", "open")
        head = request.query.get("head", "")
        owner = name.partition("/")[0]
        return [
            self._shown(name, pull)
            for pull in reversed(self.pulls.get(name, []))
            if state in ("all", pull.state) and head in ("", f"{owner}:{pull.head}")
        ]

    def _pull(self, name: str, number: str) -> Pull | None:
        return next((p for p in self.pulls.get(name, []) if str(p.number) == number), None)

    async def _create(self, name: str, body: Json) -> web.Response:
        title, head, base = (str(body.get(key) or "") for key in ("title", "head", "base"))
        text = str(body.get("body") or "")
        if not title or len(title) > MAX_TITLE or len(text) > MAX_BODY:
            return _invalid("title is missing or too long")
        pulls = self.pulls.setdefault(name, [])
        if any(p.head == head and p.base == base and p.state == "open" for p in pulls):
            owner = name.partition("/")[0]
            return _invalid(f"A pull request already exists for {owner}:{head}.")
        try:
            ahead = await self._run(
                name, "rev-list", "--count", f"refs/heads/{base}..refs/heads/{head}"
            )
        except GitFailed:
            return _invalid("head or base is no branch")
        if int(ahead) == 0:
            return _invalid(f"No commits between {base} and {head}")
        pull = Pull(len(pulls) + 1, title, text, head, base)
        pulls.append(pull)
        return web.json_response(self._shown(name, pull), status=201)

    def _shown(self, name: str, pull: Pull) -> Json:
        return {
            "number": pull.number,
            "html_url": self.page_of(name, pull.number),
            "title": pull.title,
            "body": pull.body,
            "state": pull.state,
            "merged_at": "2026-01-05T12:00:00Z" if pull.merged else None,
            "head": {"ref": pull.head},
            "base": {"ref": pull.base},
        }


def _change(pull: Pull, body: Json) -> None:
    pull.title = str(body.get("title") or pull.title)
    pull.body = str(body.get("body") or pull.body)
    if body.get("state") in ("open", "closed"):
        pull.state = str(body["state"])


async def _body(request: web.Request) -> Json:
    try:
        body = json.loads(await request.read())
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _invalid(message: str) -> web.Response:
    errors = [{"resource": "PullRequest", "code": "custom", "message": message}]
    return web.json_response({"message": "Validation Failed", "errors": errors}, status=422)


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)
