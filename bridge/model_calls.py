"""Asks the model until it answers, or until asking again is pointless."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bridge.conversation import Conversation
from bridge.errors import ModelError
from bridge.events import EventLog
from bridge.llm import ChatModel, ModelRequest
from bridge.protocol import MAX_MESSAGE_CHARS, MessageWritten, ModelRetried, TextDelta
from bridge.turns import ModelTurn, clean

_log = logging.getLogger(__name__)
_LONGEST_WAIT_SECONDS = 30.0
_LONGEST_RETRY_AFTER_SECONDS = 120.0

Sleep = Callable[[float], Awaitable[object]]


class ModelCalls:
    """Model calls with retries, each told to the event log."""

    def __init__(
        self,
        model: ChatModel,
        conversation: Conversation,
        events: EventLog,
        *,
        max_attempts: int,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._model = model
        self._conversation = conversation
        self._events = events
        self._max_attempts = max_attempts
        self._sleep = sleep

    async def complete(
        self, task_id: str, model: str, tools: Sequence[Mapping[str, Any]]
    ) -> ModelTurn:
        """The model's answer to the conversation, and its place in it.

        Raises ModelError when it fails for good. When cancelled, what the model had said so far
        is kept in the conversation and the log.
        """
        request = ModelRequest(model, self._conversation.messages, tools)
        attempt = 1
        while True:
            try:
                turn = await self._attempt(task_id, request)
                self._conversation.append(turn.message())
                return turn
            except ModelError as error:
                wait = self._wait_seconds(attempt, error)
                _log.warning("model call %s failed: %s", attempt, error.message)
                if wait is None:
                    raise
                attempt += 1
                retried = ModelRetried(
                    task_id=task_id,
                    attempt=attempt,
                    max_attempts=self._max_attempts,
                    wait_seconds=round(wait, 3),
                    error=error.on_the_wire(),
                )
            await self._events.record(retried)
            await self._sleep(wait)

    async def _attempt(self, task_id: str, request: ModelRequest) -> ModelTurn:
        heard: list[str] = []

        def hear(text: str) -> None:
            heard.append(text)
            self._events.pass_by(TextDelta(task_id=task_id, text=text))

        try:
            return await self._model.complete(request, hear)
        except asyncio.CancelledError:
            if text := clean("".join(heard)).strip():
                self._conversation.append({"role": "assistant", "content": text})
                cut = text[:MAX_MESSAGE_CHARS]
                await self._events.record(MessageWritten(task_id=task_id, text=cut, final=False))
            raise

    def _wait_seconds(self, attempt: int, error: ModelError) -> float | None:
        """How long to wait before the next attempt; None when there is to be none."""
        if not error.retryable or attempt >= self._max_attempts:
            return None
        if (asked := error.retry_after_seconds) is not None:
            return asked if asked <= _LONGEST_RETRY_AFTER_SECONDS else None
        longest = min(_LONGEST_WAIT_SECONDS, 2.0 ** (attempt - 1))
        return random.uniform(longest / 2, longest)  # noqa: S311  (spreads load, keeps no secret)
