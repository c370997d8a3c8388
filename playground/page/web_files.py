"""The page itself: hand-written files, served with headers that let nothing else in."""

import mimetypes
from pathlib import Path

from aiohttp import web

from playground.slack.slack_workspace import SlackWorkspace

WEB = Path(__file__).parents[1] / "web"
TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
}
INLINE = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def page_headers(host: str) -> dict[str, str]:
    """Scripts and styles come from this address only; trusted types forbid HTML from strings."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
        f"img-src 'self' blob:; connect-src 'self' ws://{host}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "no-cache",
    }


class WebFiles:
    """Serves `/`, `/web/…`, files that were shared, and the links that Slack calls permalinks."""

    def __init__(self, workspace: SlackWorkspace) -> None:
        self._workspace = workspace
        self._files = {
            path.relative_to(WEB).as_posix(): path for path in WEB.rglob("*") if path.is_file()
        }

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/", self._index)
        app.router.add_get("/favicon.ico", self._icon)
        app.router.add_get("/web/{path:.+}", self._file)
        app.router.add_get("/archives/{channel}/{message}", self._permalink)
        app.router.add_get("/playground/files/{file_id}/{name}", self._shared)

    async def _index(self, request: web.Request) -> web.Response:
        return self._answer(request, "index.html")

    async def _icon(self, request: web.Request) -> web.Response:
        return self._answer(request, "icon.svg")

    async def _file(self, request: web.Request) -> web.Response:
        return self._answer(request, request.match_info["path"])

    def _answer(self, request: web.Request, name: str) -> web.Response:
        # Only names that were found at start: nothing of a request becomes a path.
        path = self._files.get(name)
        if path is None:
            return web.Response(status=404, text="There is no such file.\n")
        return web.Response(
            body=path.read_bytes(),
            content_type=TYPES.get(path.suffix, "application/octet-stream"),
            charset="utf-8",
            headers=page_headers(request.host),
        )

    async def _permalink(self, request: web.Request) -> web.Response:
        """`/archives/C…/p…`: open the page there. A fragment survives a redirect."""
        channel, message = request.match_info["channel"], request.match_info["message"]
        digits = message.removeprefix("p")
        thread = request.query.get("thread_ts") or f"{digits[:-6]}.{digits[-6:]}"
        if not (channel.isalnum() and thread.replace(".", "").isdigit()):
            return web.Response(status=404, text="There is no such message.\n")
        return web.Response(status=302, headers={"Location": f"/#/-/{channel}/{thread}"})

    async def _shared(self, request: web.Request) -> web.Response:
        """The bytes of a file: pictures to look at with `?inline`, all else to save."""
        file = self._workspace.state.files.get(request.match_info["file_id"])
        if file is None or file.content is None or not file.completed:
            return web.Response(status=404, text="There is no such file.\n")
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        inline = "inline" in request.query and kind in INLINE
        response = web.Response(
            body=file.content, content_type=kind if inline else "application/octet-stream"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        response.headers["Content-Disposition"] = "inline" if inline else "attachment"
        return response
