"""The page's own part of the control API: its snapshot, its socket, the git host, one entry."""

import json

from aiohttp import web

from playground.git_server import GitServer
from playground.page.live import Live
from playground.page.repository_view import RepositoryView
from playground.page.snapshot import PageSettings, about, snapshot
from playground.page.web_files import WebFiles
from playground.slack.control_api import json_errors
from playground.slack.observer import CannotDo
from playground.slack.slack_workspace import SlackWorkspace

MAX_ENTRY_CHARS = 400_000


class Page:
    """Serves the page, its snapshot and its views of the git host."""

    def __init__(
        self, workspace: SlackWorkspace, git: GitServer, models: list[str], settings: PageSettings
    ) -> None:
        self._workspace = workspace
        self._repositories = RepositoryView(git)
        self._models = models
        self._settings = settings
        self._live = Live(workspace)

    def add_routes(self, app: web.Application) -> None:
        WebFiles(self._workspace).add_routes(app)
        app.router.add_get("/playground/live", self._live.handle)
        repository = "/playground/git/{owner}/{name}"
        for path, handler in (
            ("/playground/page", self._page),
            ("/playground/feed/{seq}", self._entry),
            ("/playground/git", self._names),
            (repository, self._branches),
            (f"{repository}/commits", self._commits),
            (f"{repository}/diff", self._diff),
        ):
            app.router.add_get(path, json_errors(handler))

    async def _page(self, request: web.Request) -> web.Response:
        try:
            user = self._workspace.state.user(request.query.get("as", ""))
        except KeyError as error:
            raise CannotDo("There is no such person.") from error
        if user.is_bot:
            raise CannotDo("Nobody acts as the app.")
        shared = about(
            self._settings, self._live.instance, self._repositories.names(), self._models
        )
        return web.json_response(snapshot(self._workspace, user, shared))

    async def _entry(self, request: web.Request) -> web.Response:
        """One entry of the feed, whole; what is very long is cut and says so."""
        seq = request.match_info["seq"]
        entry = self._workspace.feed.entry(int(seq)) if seq.isdigit() else None
        if entry is None:
            raise CannotDo("That entry is not kept any more.")
        text = json.dumps(entry.as_json(), indent=2, ensure_ascii=False)
        cut = len(text) > MAX_ENTRY_CHARS
        return web.json_response({"text": text[:MAX_ENTRY_CHARS], "is_cut": cut})

    async def _names(self, _request: web.Request) -> web.Response:
        return web.json_response({"repositories": self._repositories.names()})

    async def _branches(self, request: web.Request) -> web.Response:
        name = _repository(request)
        branches = await self._repositories.branches(name)
        return web.json_response({"branches": branches, "pulls": self._repositories.pulls(name)})

    async def _commits(self, request: web.Request) -> web.Response:
        branch = request.query.get("branch", "main")
        commits = await self._repositories.commits(_repository(request), branch)
        return web.json_response({"commits": commits})

    async def _diff(self, request: web.Request) -> web.Response:
        branch = request.query.get("branch", "main")
        return web.json_response(await self._repositories.diff(_repository(request), branch))


def _repository(request: web.Request) -> str:
    return f"{request.match_info['owner']}/{request.match_info['name']}"
