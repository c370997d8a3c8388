"""Asks the model until it answers, or until asking again is pointless."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge.errors import ModelError
from bridge.model.client import ChatModel, ModelRequest
from bridge.model.response import ModelTurn
from bridge.protocol import (
    MAX_MESSAGE_CHARS,
    MessageWritten,
    ModelRetried,
    ReasoningWritten,
    TextDelta,
    UsageRecorded,
)
from bridge.state.conversation import Conversation
from bridge.state.event_log import EventLog
from bridge.text import clean

_log = logging.getLogger(__name__)
_LONGEST_WAIT_SECONDS = 30.0
_LONGEST_RETRY_AFTER_SECONDS = 600.0
_SEPARATE_ATTEMPTS = 2  # of a call beside the conversation

Sleep = Callable[[float], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The number of attempts at a call, and the longest first wait, which doubles each time."""

    attempts: int
    first_wait_seconds: float = 1.0


@dataclass(slots=True)
class _PartialAnswer:
    """The text that has come in the attempt at work."""

    parts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return clean("".join(self.parts)).strip()


class ModelRetry:
    """Calls the model again when it fails, and records every retry."""

    def __init__(
        self,
        model: ChatModel,
        conversation: Conversation,
        events: EventLog,
        *,
        policy: RetryPolicy,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._model = model
        self._conversation = conversation
        self._events = events
        self._policy = policy
        self._sleep = sleep

    async def ask(
        self,
        task_id: str,
        model: str,
        tools: Sequence[Mapping[str, Any]],
        *,
        max_attempts: int | None = None,
    ) -> ModelTurn:
        """Asks the model to continue the conversation, and appends its answer.

        Raises ModelError when it fails for good. Then, and when cancelled, the part of the answer
        that had come is kept in the conversation and the log.
        """
        request = ModelRequest(model, self._conversation.view(), tools)
        partial = _PartialAnswer()
        attempts = min(max_attempts or self._policy.attempts, self._policy.attempts)
        try:
            turn = await self._attempt_until_answered(task_id, request, partial, attempts)
        except (ModelError, asyncio.CancelledError):
            await self._save_partial(task_id, partial.text)
            raise
        turn = turn.with_new_ids(self._conversation.call_ids)
        self._conversation.append(turn.message())
        await self._record_usage(task_id, model, turn)
        if turn.reasoning.strip():
            cut = turn.reasoning[:MAX_MESSAGE_CHARS]
            await self._events.record(ReasoningWritten(task_id=task_id, text=cut))
        return turn

    async def ask_separately(
        self,
        task_id: str,
        model: str,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
    ) -> ModelTurn:
        """Asks the model something beside the conversation, which nobody watches.

        Raises ModelError sooner than `ask` does.
        """
        attempts = min(_SEPARATE_ATTEMPTS, self._policy.attempts)
        turn = await self._attempt_until_answered(
            task_id, ModelRequest(model, messages, tools), None, attempts
        )
        await self._record_usage(task_id, model, turn)
        return turn

    async def _attempt_until_answered(
        self, task_id: str, request: ModelRequest, partial: _PartialAnswer | None, attempts: int
    ) -> ModelTurn:
        attempt = 1
        while True:
            try:
                return await self._attempt(task_id, request, partial)
            except ModelError as error:
                wait = self._wait_seconds(attempt, attempts, error)
                _log.warning("model call %s failed: %s", attempt, error.message)
                if wait is None:
                    raise
                attempt += 1
                retried = ModelRetried(
                    task_id=task_id,
                    attempt=attempt,
                    max_attempts=attempts,
                    wait_seconds=round(wait, 3),
                    error=error.on_the_wire(),
                )
            await self._events.record(retried)
            await self._sleep(wait)

    async def _attempt(
        self, task_id: str, request: ModelRequest, partial: _PartialAnswer | None
    ) -> ModelTurn:
        if partial is None:
            return await self._model.complete(request, lambda _text: None)
        partial.parts.clear()

        def show(text: str) -> None:
            partial.parts.append(text)
            self._events.broadcast(TextDelta(task_id=task_id, text=text[:MAX_MESSAGE_CHARS]))

        return await self._model.complete(request, show)

    async def _save_partial(self, task_id: str, text: str) -> None:
        """Keeps half an answer: it was shown, and the next answer may build on it."""
        if text:
            self._conversation.append({"role": "assistant", "content": text})
            cut = text[:MAX_MESSAGE_CHARS]
            await self._events.record(MessageWritten(task_id=task_id, text=cut, final=False))

    async def _record_usage(self, task_id: str, model: str, turn: ModelTurn) -> None:
        usage = turn.usage
        await self._events.record(
            UsageRecorded(
                task_id=task_id,
                model=turn.model or model,
                provider=turn.provider,
                generation_id=turn.generation_id,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                cost_usd=usage.cost_usd,
            )
        )

    def _wait_seconds(self, attempt: int, attempts: int, error: ModelError) -> float | None:
        """Returns the wait before the next attempt; None when there is to be none."""
        if not error.retryable or attempt >= attempts:
            return None
        if (asked := error.retry_after_seconds) is not None:
            return asked if asked <= _LONGEST_RETRY_AFTER_SECONDS else None
        first = self._policy.first_wait_seconds
        longest = min(_LONGEST_WAIT_SECONDS, first * 2.0 ** (attempt - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311  (spreads load, keeps no secret)
