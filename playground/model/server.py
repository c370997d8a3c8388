"""The scripted model's HTTP server, in OpenRouter's dialect of the chat-completions API."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from playground.event_feed import EventFeed
from playground.free_port import listening
from playground.model.catalog import KEY, context_length, knows, listing, takes_tools
from playground.model.chunks import COMMENT, DONE, Generation, data
from playground.model.malformed_responses import broken_pieces
from playground.model.parsed_conversation import ParsedConversation, read_conversation
from playground.model.provider_cache import PromptCache
from playground.model.response_faults import CUT, ENDLESS, FAULTS, HTML_PAGE, STATUS_FAULTS
from playground.model.scenarios import Scenarios

Json = dict[str, Any]

MAX_BODY_BYTES = 32 * 1024 * 1024
COMMENT_EVERY = 5
MANY_COMMENTS = 400
HANG_SECONDS = 3_600.0
KEEPALIVE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """`chunk_delay_seconds` makes the stream look alive in a demo; 0 sends as fast as it goes.

    `retry_after` is what the answer 429 names.
    """

    api_key: str = "sk-or-v1-playground-canary"
    chunk_delay_seconds: float = 0.0
    retry_after: str = "1"


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request as it came in; the headers come without the key."""

    body: Json
    headers: dict[str, str]
    conversation: ParsedConversation

    @property
    def messages(self) -> list[Json]:
        return self.conversation.messages


class ApiError(Exception):
    """An error answer with a status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "code": status}}


class ScriptedModel:
    """Answers chat completions by scenarios; the same messages get the same answer."""

    def __init__(self, settings: ModelSettings, feed: EventFeed) -> None:
        self.settings = settings
        self.feed = feed
        self.scenarios = Scenarios()
        self.requests: list[ReceivedRequest] = []
        self.url = ""
        # The cost of all answers in billionths of a dollar, as a provider would bill it.
        self.bill_nano = 0
        self._planned: deque[str] = deque()
        self._prefixes = PromptCache()
        self._closing = asyncio.Event()

    def fail_next(self, fault: str, times: int = 1) -> None:
        """Let the next requests go wrong, whatever model they ask for; KeyError if unknown."""
        if fault not in FAULTS:
            raise KeyError(fault)
        self._planned.extend([fault] * times)

    def close(self) -> None:
        self._closing.set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/chat/completions", self._guarded_completions)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/key", self._key)
        app.router.add_get("/v1/credits", self._credits)

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": listing(self.scenarios.names(), sorted(FAULTS))})

    async def _key(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(*STATUS_FAULTS["401"])
        return web.json_response({"data": KEY})

    async def _credits(self, request: web.Request) -> web.Response:
        if not self._authorized(request):
            return _error(*STATUS_FAULTS["401"])
        usage = self.bill_nano / 1_000_000_000
        return web.json_response({"data": {"total_credits": 100, "total_usage": usage}})

    def _authorized(self, request: web.Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.settings.api_key}"

    async def _guarded_completions(self, request: web.Request) -> web.StreamResponse:
        if not self._authorized(request):
            return _error(*STATUS_FAULTS["401"])
        try:
            return await self._completions(request)
        except ApiError as error:
            return web.json_response(error.body, status=error.status)

    async def _completions(self, request: web.Request) -> web.StreamResponse:
        body = await _read_body(request)
        model = str(body.get("model", ""))
        self._check(model, body)
        try:
            conversation = read_conversation(body["messages"], body.get("tools") or [])
        except (AttributeError, TypeError) as error:
            raise ApiError(400, "messages or tools have a wrong shape") from error
        headers = {k: v for k, v in request.headers.items() if k.lower() != "authorization"}
        self.requests.append(ReceivedRequest(body, headers, conversation))
        fault = self._planned.popleft() if self._planned else ""
        if not fault and model.startswith("fault/"):
            fault = model.removeprefix("fault/")
        self.feed.record("model_request", model=model, request=body, headers=headers, fault=fault)
        if fault in STATUS_FAULTS:
            return _error(*STATUS_FAULTS[fault], self.settings.retry_after)
        if fault in ("html200", "html502"):
            status = int(fault.removeprefix("html"))
            return web.Response(text=HTML_PAGE, status=status, content_type="text/html")
        generation = self._generation(model, body, conversation)
        self.bill_nano += round(generation.usage()["cost"] * 1_000_000_000)
        if not body.get("stream"):
            return web.json_response(generation.body())
        return await self._stream(request, generation, fault)

    def _check(self, model: str, body: Json) -> None:
        if not isinstance(body.get("messages"), list) or not body["messages"]:
            raise ApiError(400, 'Input required: specify "prompt" or "messages"')
        if not knows(model):
            raise ApiError(400, f"{model} is not a valid model ID")
        if model.startswith("fault/") and model.removeprefix("fault/") not in FAULTS:
            raise ApiError(400, f"{model} is not a valid model ID")
        if body.get("tools") and not takes_tools(model):
            raise ApiError(404, "No endpoints found that support tool use")

    def _generation(self, model: str, body: Json, conversation: ParsedConversation) -> Generation:
        try:
            turn = self.scenarios.turn(model, conversation)
        except KeyError as error:
            raise ApiError(400, f"{model} is not a valid model ID") from error
        prompt_tokens, cached_tokens = self._prefixes.count(model, body)
        if prompt_tokens + int(body.get("max_tokens") or 0) > (limit := context_length(model)):
            raise ApiError(
                400,
                f"This endpoint's maximum context length is {limit} tokens. However, you "
                f"requested about {prompt_tokens} tokens.",
            )
        return Generation(
            id=f"gen-{len(self.requests):06d}",
            model=model,
            created=int(time.time()),
            prompt_tokens=prompt_tokens,
            cached_tokens=cached_tokens,
            turn=turn,
        )

    async def _stream(
        self, request: web.Request, generation: Generation, fault: str
    ) -> web.StreamResponse:
        headers = {"Content-Type": "text/event-stream", "X-Generation-Id": generation.id}
        response = web.StreamResponse(headers=headers | {"Cache-Control": "no-cache"})
        await response.prepare(request)
        try:
            async for piece in self._pieces(generation, fault):
                await response.write(piece)
                if self.settings.chunk_delay_seconds:
                    await asyncio.sleep(self.settings.chunk_delay_seconds)
            if fault in CUT and request.transport is not None:
                request.transport.abort()
            else:
                await response.write_eof()
        except (ConnectionError, asyncio.CancelledError) as error:
            # The reader went away, as it does when a task is interrupted.
            self.feed.record("model_reader_gone", generation=generation.id)
            if isinstance(error, asyncio.CancelledError):
                raise
        return response

    async def _pieces(self, generation: Generation, fault: str) -> AsyncIterator[bytes]:
        for _ in range(MANY_COMMENTS if fault == "comments" else 2):
            yield COMMENT
        if (pieces := broken_pieces(generation, fault)) is not None:
            for piece in pieces:
                yield piece
        else:
            for index, chunk in enumerate(generation.content_chunks()):
                if index % COMMENT_EVERY == COMMENT_EVERY - 1:
                    yield COMMENT
                yield data(chunk)
            yield data(generation.finish_chunk())
            yield data(generation.usage_chunk())
            yield DONE
        while fault in ENDLESS and not self._closing.is_set():
            if fault == "keepalive":
                yield COMMENT
            await self._wait(KEEPALIVE_SECONDS if fault == "keepalive" else HANG_SECONDS)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return


def _error(status: int, error: Json, retry_after: str = "1") -> web.Response:
    headers = {"Retry-After": retry_after} if status == web.HTTPTooManyRequests.status_code else {}
    body = {"error": error, "user_id": "user_playground"}
    return web.json_response(body, status=status, headers=headers)


async def _read_body(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError as error:
        raise ApiError(400, "The body is not JSON") from error
    if not isinstance(body, dict):
        raise ApiError(400, "The body is not a JSON object")
    return body


@asynccontextmanager
async def model_running(
    settings: ModelSettings, feed: EventFeed, host: str = "127.0.0.1", ports: Sequence[int] = (0,)
) -> AsyncIterator[ScriptedModel]:
    """Serve the scripted model; `model.url` ends in /v1."""
    model = ScriptedModel(settings, feed)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    model.add_routes(app)
    async with listening(app, host, ports) as url:
        model.url = f"{url}/v1"
        try:
            yield model
        finally:
            model.close()
