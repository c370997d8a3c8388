"""Speaks to the bridges: sends requests, reads answers and the stream of events.

The container is untrusted: every answer, frame, count and wait is bounded here.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from urllib.parse import quote

import aiohttp

from bot.bridge_client.events import EventSequence, GapError, SseFrame, SseFrames
from bot.bridge_client.http import (
    SMALL_BYTES,
    BridgeConnections,
    BridgeRequests,
    ClientLimits,
    authorization,
    read,
    refusal,
)
from bot.bridge_client.redaction import check_diff, hidden_conversation, hidden_diff, hidden_event
from bot.domain.container import BridgeAddress
from bot.errors import BridgeRefused, BridgeUnreachable
from bot.files import BodyTooLargeError, read_bounded
from bot.redaction import Hide
from bridge.protocol import (
    MAX_CONVERSATION_BYTES,
    MAX_FRAME_BYTES,
    MAX_PATCH_BYTES,
    PROTOCOL_VERSION,
    Accepted,
    AgentEvent,
    Answered,
    AnswerRequest,
    Attached,
    ChatRequest,
    Diff,
    ErrorCode,
    ExecuteRequest,
    Health,
    MessageEdit,
    Pushed,
    PushRequest,
    Revised,
    Status,
    TaskRequest,
    ToolEnvironment,
    Undone,
    WireError,
    WorkspaceReady,
    WorkspaceRequest,
)

_log = logging.getLogger(__name__)

_MAX_READABLE_CHARS = 2 * 1024 * 1024
# JSON may write one character as six.
_DIFF_BODY_BYTES = 6 * _MAX_READABLE_CHARS + SMALL_BYTES


class HttpBridge:
    """Implements the Bridge port over HTTP, on TCP and unix sockets. `session` stays the caller's.

    Events, diffs and conversations pass through `hide`; a patch must stay what it is.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        limits: ClientLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        hide: Hide = str,
    ) -> None:
        self._connections = BridgeConnections(session)
        self._hide = hide
        self._limits = limits or ClientLimits()
        self._requests = BridgeRequests(self._connections, self._limits)
        self._clock = clock

    async def wait_ready(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Returns when the bridge answers; raises BridgeUnreachable after the timeout.

        Raises BridgeRefused when it speaks a protocol newer than ours.
        """
        reason = ""

        async def ask_until_it_answers() -> bytes:
            nonlocal reason
            pause = self._limits.first_pause_seconds
            while True:
                try:
                    return await self._requests.send(
                        address, "GET", "/health", self._limits.health_seconds
                    )
                except BridgeUnreachable as error:
                    reason = str(error)
                # Nothing can tell us that a port opens: the one place that has to ask again.
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, self._limits.longest_pause_seconds)

        try:
            async with asyncio.timeout(timeout_seconds):
                body = await ask_until_it_answers()
        except TimeoutError as error:
            raise BridgeUnreachable(f"not ready in {timeout_seconds:g} s: {reason}") from error
        health = read(Health, body)
        if health.protocol > PROTOCOL_VERSION:
            message = (
                f"The container speaks protocol {health.protocol} and this bot {PROTOCOL_VERSION}: "
                "upgrade the bot, or build the image of this version with `make image`."
            )
            raise BridgeRefused(200, WireError(code=ErrorCode.INTERNAL, message=message))

    async def prepare(self, address: BridgeAddress, request: WorkspaceRequest) -> WorkspaceReady:
        """Clones, or finds the clone already there."""
        body = await self._requests.send(
            address, "POST", "/agent/workspace", self._limits.prepare_seconds, body=request
        )
        return read(WorkspaceReady, body)

    async def execute(self, address: BridgeAddress, request: ExecuteRequest) -> Accepted:
        """Starts the first task; safe to send twice."""
        return await self._accepted(address, "/agent/execute", request)

    async def chat(self, address: BridgeAddress, request: ChatRequest) -> Accepted:
        """Delivers the next message; safe to send twice."""
        return await self._accepted(address, "/agent/chat", request)

    async def interrupt(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Kills the running tool and ends the task; returns when that is done."""
        await self._requests.send(address, "POST", "/agent/interrupt", timeout_seconds)

    async def revise(self, address: BridgeAddress, message_id: str, text: str | None) -> bool:
        """Changes a message that still waits, or withdraws it (None); False when it is too late.

        Raises BridgeRefused (`not_found`) when the bridge never had such a message.
        """
        path = f"/agent/messages/{quote(message_id, safe='')}"
        method, body = ("DELETE", None) if text is None else ("PUT", MessageEdit(text=text))
        seconds = self._limits.answer_seconds
        return read(
            Revised, await self._requests.send(address, method, path, seconds, body=body)
        ).revised

    async def export(self, address: BridgeAddress) -> bytes:
        """Returns the conversation as `restore` takes it, at most 32 MiB.

        Raises BridgeUnreachable when it cannot be read.
        """
        saved = await self._requests.send(
            address,
            "GET",
            "/agent/conversation",
            self._limits.conversation_seconds,
            MAX_CONVERSATION_BYTES,
        )
        return await hidden_conversation(saved, self._hide)

    async def set_environment(self, address: BridgeAddress, variables: Mapping[str, str]) -> None:
        """Gives the tools these environment variables and no others of an earlier call."""
        # Not validated here: the bridge of another version may take other names.
        body = ToolEnvironment.model_construct(variables=dict(variables))
        seconds = self._limits.answer_seconds
        await self._requests.send(address, "PUT", "/agent/environment", seconds, body=body)

    async def restore(self, address: BridgeAddress, conversation: bytes) -> None:
        """Gives a fresh bridge the conversation of an earlier one, before anything else.

        Safe to send twice. Refused beyond 32 MiB, before it is sent.
        """
        _check_size("conversation", conversation, MAX_CONVERSATION_BYTES)
        seconds = self._limits.conversation_seconds
        path = "/agent/conversation"
        await self._requests.send(address, "PUT", path, seconds, body=conversation)

    async def apply(self, address: BridgeAddress, patch: bytes) -> None:
        """Puts a patch into a fresh workspace; before there is one, it becomes a part of the next.

        Safe to send twice. Refused beyond 20 MiB, before it is sent.
        """
        _check_size("patch", patch, MAX_PATCH_BYTES)
        seconds = self._limits.apply_seconds
        await self._requests.send(address, "PUT", "/agent/patch", seconds, body=patch)

    async def answer(
        self, address: BridgeAddress, question_id: str, answer: str, author: str
    ) -> Answered:
        """Answers the question that a task waits for; safe to send twice."""
        path = f"/agent/answers/{quote(question_id, safe='')}"
        body = AnswerRequest(answer=answer, author=author)
        seconds = self._limits.answer_seconds
        return read(Answered, await self._requests.send(address, "POST", path, seconds, body=body))

    async def pause(self, address: BridgeAddress, task_id: str) -> None:
        """Pauses the task before its next model call."""
        await self._control_task(address, "pause", task_id, self._limits.answer_seconds)

    async def resume(self, address: BridgeAddress, task_id: str) -> None:
        """Resumes a paused task."""
        await self._control_task(address, "resume", task_id, self._limits.answer_seconds)

    async def undo(self, address: BridgeAddress, task_id: str) -> int:
        """Puts the files back to before the last task; returns how many of them differ by it."""
        body = await self._control_task(address, "undo", task_id, self._limits.apply_seconds)
        return read(Undone, body).files

    async def _control_task(
        self, address: BridgeAddress, action: str, task_id: str, seconds: float
    ) -> bytes:
        body = TaskRequest(task_id=task_id)
        return await self._requests.send(address, "POST", f"/agent/{action}", seconds, body=body)

    async def status(self, address: BridgeAddress) -> Status:
        """Asks for the state of the bridge."""
        seconds = self._limits.answer_seconds
        return read(Status, await self._requests.send(address, "GET", "/agent/status", seconds))

    async def diff(self, address: BridgeAddress) -> Diff:
        """Returns the changes against the source branch; the text is at most 2 Mi characters."""
        seconds = self._limits.diff_seconds
        body = await self._requests.send(address, "GET", "/agent/diff", seconds, _DIFF_BODY_BYTES)
        await check_diff(body)
        diff = await hidden_diff(read(Diff, body), self._hide)
        if len(diff.text) <= _MAX_READABLE_CHARS:
            return diff
        return diff.model_copy(update={"text": diff.text[:_MAX_READABLE_CHARS], "truncated": True})

    async def attach(self, address: BridgeAddress, name: str, data: bytes) -> str:
        """Puts a file into the workspace, where it is no part of the changes; returns its path."""
        path = f"/agent/attachments/{quote(name, safe='')}"
        seconds = self._limits.apply_seconds
        sent = await self._requests.send(address, "PUT", path, seconds, body=data)
        return read(Attached, sent).path

    async def push_branch(self, address: BridgeAddress, request: PushRequest) -> Pushed:
        """Pushes what is committed to the agent's branch, and all else when the request says so."""
        seconds = self._limits.push_seconds
        return read(
            Pushed, await self._requests.send(address, "POST", "/agent/push", seconds, body=request)
        )

    async def patch(self, address: BridgeAddress) -> bytes:
        """Returns the same as a patch that `git apply` accepts, at most 20 MiB."""
        seconds = self._limits.diff_seconds
        return await self._requests.send(address, "GET", "/agent/patch", seconds, MAX_PATCH_BYTES)

    async def events(self, address: BridgeAddress, after_seq: int) -> AsyncGenerator[AgentEvent]:
        """Yields every stored event after `after_seq`, then the new ones, across cuts of the link.

        Ends by BridgeUnreachable when the bridge stays away, or sends nonsense without end; by
        BridgeRefused when it refuses. Close the iterator (`aclosing`) when leaving it early.
        """
        limits = self._limits
        sequence = EventSequence(after_seq, limits.invalid_frames, limits.fruitless_gaps)
        backoff, away_since = limits.first_backoff_seconds, self._clock()
        while True:
            reason, is_alive = "the bridge ended the stream", False
            try:
                async with aclosing(self._connection(address, sequence.last_seq)) as frames:
                    async for frame in frames:
                        is_alive = True
                        event = sequence.take_frame(frame) if frame else None
                        if event is not None:
                            backoff = limits.first_backoff_seconds
                            yield hidden_event(event, self._hide)
            except GapError as error:
                reason = str(error)
            except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
                reason = f"{type(error).__name__}: {error}"
            if is_alive:
                away_since = self._clock()
            if self._clock() - away_since >= limits.away_seconds:
                raise BridgeUnreachable(f"away for {limits.away_seconds:g} s: {reason}")
            _log.info("an event stream broke, asking again in %.2f s: %s", backoff, reason)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, limits.longest_backoff_seconds)

    async def _connection(
        self, address: BridgeAddress, after_seq: int
    ) -> AsyncGenerator[SseFrame | None]:
        """Yields the frames of one connection, and None for each piece of data that arrives."""
        limits = self._limits
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds, sock_read=limits.silence_seconds
        )
        headers = {
            **authorization(address),
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
            "Last-Event-ID": str(after_seq),
        }
        async with (
            self._connections.open_session(address.endpoint) as (session, base),
            session.get(
                f"{base}/agent/events",
                params={"after": str(after_seq)},
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            ) as response,
        ):
            if response.status != 200:  # noqa: PLR2004
                body = await read_bounded(response.content.iter_any(), SMALL_BYTES)
                refused = refusal(response.status, body)
                if response.status < 500:  # noqa: PLR2004
                    raise refused
                raise aiohttp.ClientError(str(refused))
            frames = SseFrames(MAX_FRAME_BYTES)
            async for chunk in response.content.iter_any():
                yield None
                for frame in frames.feed(chunk):
                    yield frame

    async def _accepted(
        self, address: BridgeAddress, path: str, request: ExecuteRequest | ChatRequest
    ) -> Accepted:
        seconds = self._limits.answer_seconds
        return read(
            Accepted, await self._requests.send(address, "POST", path, seconds, body=request)
        )


def _check_size(what: str, data: bytes, limit_bytes: int) -> None:
    if len(data) > limit_bytes:
        message = f"A {what} of {len(data)} bytes is more than a bridge takes."
        raise BridgeRefused(413, WireError(code=ErrorCode.INVALID_REQUEST, message=message))
