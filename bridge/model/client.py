"""Calls the model, one stream for each answer, and turns every fault of it into a ModelError.

The only file that knows the openai client, which takes longer to import than the rest of the
bridge together: it is loaded on first use, or ahead of it by `prewarm`.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import SecretStr

from bridge.errors import ModelError
from bridge.model.errors import from_status, status_of
from bridge.model.limits import ModelLimits, limits_of, read_limits
from bridge.model.prompt_cache import marked, needs_marks
from bridge.model.response import ModelTurn, TurnBuilder
from bridge.protocol import ErrorCode
from bridge.text import clean

if TYPE_CHECKING:
    from openai import APIError, AsyncOpenAI, AsyncStream

_log = logging.getLogger(__name__)
_CALL_SECONDS = 1_800.0  # a whole answer, however steadily it drips
_CONNECT_SECONDS = 10.0
_ERROR_BODY_BYTES = 65_536
_LIST_SECONDS = 10.0
_ASK_AGAIN_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to the model. The lists are read, never changed, and may be long."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]]


class ChatModel(Protocol):
    """Answers one request. Raises ModelError, and no other error, when it cannot."""

    async def complete(self, request: ModelRequest, on_text: Callable[[str], None]) -> ModelTurn:
        """Returns the whole answer; `on_text` gets its text while it comes."""

    async def limits(self, model: str) -> ModelLimits:
        """Returns the limits of this model, a guess where they are unknown. Never raises."""


class RequestBody:
    """Encodes the requests of a conversation, and no message twice.

    Each request repeats the one before, so that otherwise every step would be dearer than the
    last. Messages are compared by identity and never changed.
    """

    def __init__(self) -> None:
        self._known: list[tuple[Mapping[str, Any], bytes]] = []

    def encode_request(
        self, messages: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]
    ) -> bytes:
        """Encodes a JSON object of these fields and messages; raises ValueError for half a
        surrogate pair."""
        known = self._known[: len(messages)]
        for position, message in enumerate(messages):
            if position == len(known):
                known.append((message, _json(message)))
            elif known[position][0] is not message:
                known[position] = (message, _json(message))
        self._known = known
        encoded = b",".join(data for _, data in known)
        head = _json(fields).removesuffix(b"}")
        return head + b',"messages":[' + encoded + b"]}"


class OpenAIChatModel:
    """A ChatModel behind any OpenAI-compatible address; it speaks OpenRouter's dialect."""

    def __init__(
        self,
        base_url: str,
        api_key: SecretStr,
        *,
        progress_timeout_seconds: float,
        context_tokens: int | None = None,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._progress_seconds = progress_timeout_seconds
        self._context_tokens = context_tokens
        self._listed: dict[str, ModelLimits] | None = None
        self._ask_again_at = 0.0
        self._listing = asyncio.Lock()
        self._client: AsyncOpenAI | None = None
        self._loading = asyncio.Lock()
        self._body = RequestBody()

    async def prewarm(self) -> None:
        """Loads the client and its TLS context now instead of in the first call."""
        async with self._loading:
            if self._client is None:
                self._client = await asyncio.to_thread(self._load)

    async def close(self) -> None:
        """Closes the connections; the model is not used afterwards."""
        if self._client is not None:
            await self._client.close()

    async def complete(self, request: ModelRequest, on_text: Callable[[str], None]) -> ModelTurn:
        """See ChatModel."""
        import openai

        await self.prewarm()
        turn = TurnBuilder()
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._stream(request, turn, on_text)
        except (TimeoutError, openai.APITimeoutError) as error:
            failure: ModelError = ModelError(
                ErrorCode.MODEL_TIMEOUT, "The model stopped answering.", retryable=True
            )
            cause: Exception = error
        except openai.APIConnectionError as error:
            failure = ModelError(
                ErrorCode.MODEL_UNAVAILABLE,
                "The connection to the model provider broke." if turn.chunks
                else "The model provider could not be reached.",
                retryable=True,
            )  # fmt: skip
            cause = error
        except openai.APIError as error:
            failure, cause = self._refusal(error), error
        except (ValueError, RecursionError) as error:  # not JSON, or not even text
            failure, cause = _bad_answer("The model provider sent something unreadable."), error
        else:
            return _whole(turn)
        if turn.finish_reason not in (None, "error"):
            return _whole(turn)  # the answer was complete before the fault
        raise failure from cause

    async def limits(self, model: str) -> ModelLimits:
        """See ChatModel. The setting wins over the provider's list, which is asked for once.

        The first call may wait for that list: make it when nobody is in a hurry.
        """
        if self._context_tokens is not None:
            return ModelLimits(self._context_tokens)
        async with self._listing:
            now = asyncio.get_running_loop().time()
            if self._listed is None and now >= self._ask_again_at:
                self._ask_again_at = now + _ASK_AGAIN_SECONDS
                self._listed = await self._list()
        return limits_of(model, self._listed or {}) or ModelLimits()

    async def _list(self) -> dict[str, ModelLimits] | None:
        await self.prewarm()
        if self._client is None:
            return None
        try:
            async with asyncio.timeout(_LIST_SECONDS):
                answer = await self._client.get("/models", cast_to=object)
        except Exception as error:  # noqa: BLE001  (whatever it is, the call itself will show it)
            _log.info("the provider's list of models could not be read: %s", type(error).__name__)
            return None
        return read_limits(answer)

    async def _stream(
        self, request: ModelRequest, turn: TurnBuilder, on_text: Callable[[str], None]
    ) -> None:
        async with asyncio.timeout(self._progress_seconds):
            stream = await self._open(request)
        try:
            await self._check_content_type(stream)
            chunks = aiter(stream)
            while True:
                # Counted on chunks: comment lines keep a connection alive, not an answer.
                async with asyncio.timeout(self._progress_seconds):
                    chunk = await anext(chunks, None)
                if chunk is None:
                    return
                if text := turn.add(chunk):
                    on_text(clean(text))
        finally:
            await stream.close()

    async def _open(self, request: ModelRequest) -> "AsyncStream[object]":
        from openai import AsyncStream

        if self._client is None:
            raise RuntimeError("complete() loads the client first")
        # Not chat.completions.create(): it walks through the whole history in Python before each
        # call, and builds a typed object for each chunk.
        messages = request.messages
        return await self._client.post(
            "/chat/completions",
            content=self._body.encode_request(
                marked(messages) if needs_marks(request.model) else messages,
                {
                    "model": request.model,
                    **({"tools": request.tools} if request.tools else {}),
                    "stream": True,
                    "stream_options": {"include_usage": True},
                    "usage": {"include": True},
                },
            ),
            cast_to=object,
            stream=True,
            stream_cls=AsyncStream[object],
        )

    async def _check_content_type(self, stream: "AsyncStream[object]") -> None:
        """Raises ModelError for a page or an error of status 200: it reads as an empty stream."""
        kind = stream.response.headers.get("content-type", "text/event-stream")
        if "text/event-stream" in kind:
            return
        body = b""
        document = None
        try:
            async with asyncio.timeout(self._progress_seconds):
                async for part in stream.response.aiter_bytes():
                    body += part
                    if len(body) > _ERROR_BODY_BYTES:
                        break
            document = json.loads(body)
        except Exception:  # noqa: BLE001  (the transport's own errors: it is no stream anyway)
            _log.debug("the body of a model answer could not be read", exc_info=True)
        if isinstance(document, Mapping) and (error := document.get("error")):
            secret = self._api_key.get_secret_value()
            raise from_status(status_of(error), {"error": error}, secret=secret)
        raise _bad_answer(f"The model provider sent {kind.split(';')[0][:60]}, not a stream.")

    def _refusal(self, error: "APIError") -> ModelError:
        response = getattr(error, "response", None)
        headers = response.headers if response is not None else None
        status = getattr(error, "status_code", None) or status_of(error.body)
        return from_status(status, error.body, headers, secret=self._api_key.get_secret_value())

    def _load(self) -> "AsyncOpenAI":
        import openai

        return openai.AsyncOpenAI(
            api_key=self._api_key.get_secret_value(),
            base_url=self._base_url,
            max_retries=0,
            timeout=openai.Timeout(self._progress_seconds + 5.0, connect=_CONNECT_SECONDS),
            default_headers={"X-Title": "Threadsmith"},
        )


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def _bad_answer(message: str) -> ModelError:
    return ModelError(ErrorCode.MODEL_BAD_ANSWER, message, retryable=True)


def _whole(turn: TurnBuilder) -> ModelTurn:
    answer = turn.build()
    if not turn.chunks:
        raise _bad_answer("The model provider sent an empty answer.")
    if turn.finish_reason is None:
        raise _bad_answer("The model's answer broke off before its end.")
    if turn.finish_reason == "error":
        raise from_status(None, None)
    if turn.finish_reason == "content_filter":
        raise ModelError(
            ErrorCode.MODEL_REFUSED, "The model provider's content filter stopped the answer."
        )
    if answer.text.strip() or answer.tool_calls:
        return answer
    if answer.cut_off:
        raise ModelError(
            ErrorCode.MODEL_BAD_ANSWER,
            "The model used up its whole output limit before it wrote an answer.",
        )
    raise _bad_answer("The model's answer holds no text and no tool call.")
