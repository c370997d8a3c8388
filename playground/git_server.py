"""A git host over HTTP: `git http-backend` under aiohttp, with tokens and private repositories."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from playground.event_feed import EventFeed
from playground.free_port import listening
from playground.git_api import PREFIX as API_PREFIX, GitApi
from playground.repositories import git, git_environment, make_repository
from playground.sample import SAMPLES

ROUTE = re.compile(
    r"/([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*?)(?:\.git)?"
    r"/(info/refs|git-upload-pack|git-receive-pack)"
)
PULL = re.compile(r"/([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)/pull/([0-9]{1,9})")
PIECE_BYTES = 64 * 1024
MAX_HEADER_LINES = 64
CHALLENGE = {"WWW-Authenticate": 'Basic realm="playground"'}


@dataclass(frozen=True, slots=True)
class GitSettings:
    """`token` opens every repository; `narrow_tokens` open only the repositories they list."""

    token: str = "git-playground-canary"
    narrow_tokens: tuple[tuple[str, frozenset[str]], ...] = ()
    private: frozenset[str] = frozenset({"demo/private"})


class GitServer:
    """Serves `root/owner/name.git`. Reading public repositories needs no token, pushing does."""

    def __init__(self, settings: GitSettings, root: Path, feed: EventFeed) -> None:
        self.settings = settings
        self.root = root
        self.feed = feed
        self.url = ""
        self.page_url = ""  # the page of a repository for people, if there is one
        self.api = GitApi(self.git, self._refuse_api, self._visible, feed)
        self._sending = asyncio.Event()
        self._sending.set()

    async def add(self, name: str, files: dict[str, str]) -> Path:
        """Make a repository with one commit on main; returns the path of the bare one."""
        return await make_repository(self.root, name, files)

    async def git(self, name: str, *arguments: str) -> str:
        """Run git in a bare repository, to look at what was pushed."""
        return await git(*arguments, cwd=self.root / f"{name}.git")

    async def branches(self, name: str) -> list[str]:
        out = await self.git(name, "for-each-ref", "--format=%(refname:short)", "refs/heads")
        return out.split()

    def hold(self) -> None:
        """Hold back all objects until `release`, as a slow host does: clones wait."""
        self._sending.clear()

    def release(self) -> None:
        """Send objects again, those that wait first."""
        self._sending.set()

    def names(self) -> list[str]:
        """The repositories, as owner/name."""
        heads = self.root.glob("*/*.git/HEAD")
        return sorted(f"{p.parents[1].name}/{p.parent.name.removesuffix('.git')}" for p in heads)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith(f"{API_PREFIX}/"):
            return await self.api.handle(request)
        if pull := PULL.fullmatch(request.path):
            return self._show(*pull.groups())
        route = ROUTE.fullmatch(request.path)
        if route is None:
            return web.Response(status=404, text="Not found\n")
        name, operation = route.groups()
        service = request.query.get("service", operation)
        pushing = service == "git-receive-pack"
        refusal = self._refuse(request, name, pushing=pushing)
        self.feed.record(
            "git_request",
            repository=name,
            service=service,
            status=refusal.status if refusal else 200,
        )
        if operation == "git-upload-pack":
            await self._sending.wait()
        return refusal or await self._backend(request, name, operation)

    def _show(self, name: str, number: str) -> web.Response:
        """Redirect the link of a pull request to its branch on the page."""
        pulls = self.api.pulls.get(name, [])
        pull = next((candidate for candidate in pulls if str(candidate.number) == number), None)
        if pull is None or not self.page_url:
            return web.Response(status=404, text="Not found\n")
        place = quote(f"git:{name}@{pull.head}", safe="")
        return web.Response(status=302, headers={"Location": f"{self.page_url}#/-/{place}"})

    def _refuse(self, request: web.Request, name: str, *, pushing: bool) -> web.Response | None:
        """401 asks for a token; 404 hides what this token may not see."""
        token = _token(request)
        allowed = self._allowed(token, name)
        if token is not None and allowed is None:
            return web.Response(status=401, text="Bad credentials\n", headers=CHALLENGE)
        exists = (self.root / f"{name}.git" / "HEAD").exists()
        hidden = not exists or (name in self.settings.private and not allowed)
        if hidden and token is not None:
            return web.Response(status=404, text="Repository not found\n")
        if hidden or (pushing and token is None):
            return web.Response(status=401, text="Authentication required\n", headers=CHALLENGE)
        if pushing and not allowed:
            return web.Response(status=403, text="No permission to push\n")
        return None

    def _refuse_api(self, request: web.Request, name: str) -> web.Response | None:
        """Refuse as GitHub's API does: 401 for an unknown token, 404 and 403 for too few rights."""
        reads = request.method == "GET"
        refusal = self._refuse(request, name, pushing=not reads)
        if refusal is None:
            return None
        status = 404 if refusal.status == 401 and _token(request) is None else refusal.status  # noqa: PLR2004
        words = {401: "Bad credentials", 403: "Resource not accessible by personal access token"}
        return web.json_response({"message": words.get(status, "Not Found")}, status=status)

    def _visible(self, request: web.Request) -> list[str] | None:
        """Return the repositories that a token opens; None for an unknown token."""
        token = _token(request)
        allowed = {name: self._allowed(token, name) for name in self.names()}
        return None if None in allowed.values() else [n for n, may in allowed.items() if may]

    def _allowed(self, token: str | None, name: str) -> bool | None:
        """Check whether a token opens a repository; None for an unknown token."""
        if token == self.settings.token:
            return True
        repositories = dict(self.settings.narrow_tokens).get(token or "")
        return None if repositories is None else name in repositories

    async def _backend(self, request: web.Request, name: str, operation: str) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=self._environment(request, name, operation),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        finished = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy_body(request, process))
                answering = group.create_task(_answer(request, process))
            finished = True
            return answering.result()
        finally:
            # A process that has written everything ends by itself; killing it then would reap it
            # under the eyes of the loop's own watcher.
            if not finished and process.returncode is None:
                process.kill()
            await process.wait()

    def _environment(self, request: web.Request, name: str, operation: str) -> dict[str, str]:
        environment = git_environment() | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{name}.git/{operation}",
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_USER": "agent",
            "REMOTE_ADDR": request.remote or "",
        }
        if request.content_length is not None:
            environment["CONTENT_LENGTH"] = str(request.content_length)
        for header, variable in (
            ("Content-Encoding", "HTTP_CONTENT_ENCODING"),
            ("Git-Protocol", "GIT_PROTOCOL"),
        ):
            if value := request.headers.get(header):
                environment[variable] = value
        return environment


def _token(request: web.Request) -> str | None:
    """The token of a request: Bearer, or Basic with the token as the password."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return None


async def _copy_body(request: web.Request, process: asyncio.subprocess.Process) -> None:
    stdin = process.stdin
    if stdin is None:
        return
    try:
        async for piece in request.content.iter_chunked(PIECE_BYTES):
            stdin.write(piece)
            await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        # git answered before it read everything, or the client went away.
        return
    finally:
        stdin.close()


async def _answer(request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
    """Turn the CGI answer into an HTTP answer, piece by piece."""
    stdout = process.stdout
    response = web.StreamResponse()
    if stdout is None:
        return response
    for _ in range(MAX_HEADER_LINES):
        line = (await stdout.readline()).decode("latin-1").strip()
        if not line:
            break
        key, _, value = line.partition(": ")
        if key.lower() == "status":
            response.set_status(int(value.split()[0]))
        else:
            response.headers[key] = value
    await response.prepare(request)
    try:
        while piece := await stdout.read(PIECE_BYTES):
            await response.write(piece)
        await response.write_eof()
    except ConnectionError:
        return response
    return response


@asynccontextmanager
async def git_running(
    settings: GitSettings,
    root: Path,
    feed: EventFeed,
    host: str = "127.0.0.1",
    ports: Sequence[int] = (0,),
) -> AsyncIterator[GitServer]:
    """Serve the repositories below `root`, the samples among them; `server.url` is the base."""
    server = GitServer(settings, root, feed)
    async with asyncio.TaskGroup() as group:
        for name, files in SAMPLES.items():
            group.create_task(server.add(name, files))
    # aiohttp must hand the body on as it came: git http-backend unpacks gzip itself.
    app = web.Application(client_max_size=0, handler_args={"auto_decompress": False})
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with listening(app, host, ports) as url:
        server.url = server.api.url = url
        yield server
