"""Receives a push, checks what it would move, and passes it on only when that is allowed."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from bot.domain.agent import RepoRef
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.git.host import (
    MAX_REFS_BYTES,
    RECEIVE,
    GitHost,
    HostUnreachableError,
    is_success,
)
from bot.gateway.git.pkt_line import NotGitError, commit_of
from bot.gateway.git.receive_pack import (
    Command,
    PushHead,
    PushRefusedError,
    check_push,
    is_pack,
    read_head,
    rejection,
)
from bot.gateway.upstream import TIMEOUT, UpstreamError, stream_answer

_RESULT = "application/x-git-receive-pack-result"
_PIECE_BYTES = 256 * 1024
_BODY_SECONDS = 600.0
# Before a large push git asks with an empty one whether the push is allowed.
_PROBE = b"0000"

_log = logging.getLogger(__name__)


class PushPolicy:
    """Keeps a push in `folder` until it has been checked; one at a time for each agent.

    A refusal is answered in git's own words, so that it shows as `[remote rejected]`.
    """

    def __init__(self, host: GitHost, folder: Path, limit_bytes: int) -> None:
        self._host = host
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._under_way: set[str] = set()

    async def handle_push(
        self, request: web.Request, agent_id: str, repo: RepoRef, branch: str
    ) -> web.StreamResponse:
        """Answers a `git-receive-pack`; raises HostUnreachableError or UpstreamError."""
        if "Content-Encoding" in request.headers:
            return _refused(415, "A compressed push is not read here.")
        if agent_id in self._under_way:
            return _refused(429, "Another push of this agent is under way.")
        self._under_way.add(agent_id)
        try:
            with tempfile.TemporaryFile(dir=self._folder) as spool:
                return await self._check_and_pass_on(request, agent_id, repo, branch, spool)
        except OSError as error:
            if isinstance(error, ConnectionError):
                raise
            _log.warning("a push of %s cannot be kept: %s", agent_id, error)
            return _refused(507, "There is no room to look at this push.")
        finally:
            self._under_way.discard(agent_id)

    async def _check_and_pass_on(
        self,
        request: web.Request,
        agent_id: str,
        repo: RepoRef,
        branch: str,
        spool: IO[bytes],
    ) -> web.StreamResponse:
        head: PushHead | None = None
        try:
            head, size = await self._spool(request, spool)
            if head is None:
                return _result(b"")
            command = check_push(head, branch)
            await self._check_pack(spool, head, size)
            await self._check_old(repo, command, branch)
        except PushRefusedError as refused:
            _log.warning("a push of agent %s was refused: %s", agent_id, refused)
            report = rejection(head, str(refused)) if head else None
            return _result(report) if report else _refused(403, f"Refused: {refused}.")
        passed = await self._pass_on(request, repo, spool, size)
        _log.info("agent %s pushed %s to %s of %s", agent_id, command.new[:12], branch, repo)
        return passed

    async def _spool(self, request: web.Request, spool: IO[bytes]) -> tuple[PushHead | None, int]:
        """Returns the head of a push and its whole size; no head for git's question if it may push.

        Bytes beyond the limit are not kept, and are read only so far that git shows the refusal.
        """
        beginning, size, head = bytearray(), 0, None
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for piece in request.content.iter_any():
                    size += len(piece)
                    if head is None:
                        beginning += piece
                        head = read_head(bytes(beginning))
                    if size <= self._limit_bytes:
                        await asyncio.to_thread(spool.write, piece)
                    elif head is None or size > 2 * self._limit_bytes:
                        raise PushRefusedError("the push is far too large")
        except TimeoutError:
            raise PushRefusedError("the push did not arrive in time") from None
        if head is None:
            raise PushRefusedError("the push broke off in its commands")
        if beginning == _PROBE:
            return None, size
        return head, size

    async def _check_pack(self, spool: IO[bytes], head: PushHead, size: int) -> None:
        if size > self._limit_bytes:
            limit = self._limit_bytes / 1024**2
            raise PushRefusedError(f"the push is larger than {limit:,.2f} MiB")
        spool.seek(head.size)
        beginning = await asyncio.to_thread(spool.read, 8)
        if size == head.size or not is_pack(beginning):
            raise PushRefusedError("there is no pack behind the commands")

    async def _check_old(self, repo: RepoRef, command: Command, branch: str) -> None:
        """Checks that the branch stands where the push says, so that no commit is lost unseen."""
        async with self._host.open_refs(repo, {}, RECEIVE) as upstream:
            if not is_success(upstream, RECEIVE):
                raise PushRefusedError(f"the git host answered {upstream.status}")
            try:
                refs = await read_bounded(upstream.content.iter_any(), MAX_REFS_BYTES)
                now = commit_of(refs, branch)
            except (NotGitError, BodyTooLargeError, aiohttp.ClientError) as error:
                raise HostUnreachableError(f"{type(error).__name__}: {error}") from error
        if (now or "0" * len(command.old)) != command.old:
            raise PushRefusedError("the branch has moved meanwhile: fetch first")

    async def _pass_on(
        self, request: web.Request, repo: RepoRef, spool: IO[bytes], size: int
    ) -> web.StreamResponse:
        headers = CIMultiDict({**await self._host.headers(repo)})
        headers["Content-Type"] = "application/x-git-receive-pack-request"
        headers["Accept"] = _RESULT
        headers["Content-Length"] = str(size)
        spool.seek(0)
        try:
            upstream = await self._host.session.post(
                f"{self._host.base(repo)}/{RECEIVE}",
                data=_pieces(spool),
                headers=headers,
                skip_auto_headers=("Accept-Encoding",),
                allow_redirects=False,
                auto_decompress=False,
                timeout=TIMEOUT,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UpstreamError(f"{type(error).__name__}: {error}") from error
        async with upstream:
            if upstream.status != 200 or upstream.content_type != _RESULT:  # noqa: PLR2004
                return _refused(502, f"The git host answered {upstream.status} to the push.")
            return await stream_answer(request, upstream)


async def _pieces(spool: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(spool.read, _PIECE_BYTES):
        yield piece


def _result(body: bytes) -> web.Response:
    headers = {"Content-Type": _RESULT, "Cache-Control": "no-cache"}
    return web.Response(body=body, headers=headers)


def _refused(status: int, text: str) -> web.Response:
    response = web.Response(status=status, text=text + "\n")
    response.force_close()  # a body that nobody reads must not become the next request
    return response
