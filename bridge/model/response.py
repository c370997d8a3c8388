"""Puts one answer of the model together from its fragments; it trusts nothing of their shape."""

import json
import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bridge.errors import ModelError
from bridge.protocol import MAX_MESSAGE_CHARS, ErrorCode
from bridge.text import clean

# OpenRouter's name for it, and that of DeepSeek and of most local servers.
REASONING, REASONING_CONTENT = "reasoning", "reasoning_content"
_MAX_TURN_CHARS = 4 * MAX_MESSAGE_CHARS
_MAX_CALLS = 64
_MAX_COST_USD = 1e6
_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asks for. `arguments` is the JSON text as the model wrote it.

    `torn`: the output limit cut it off, so that it is not what the model meant.
    """

    id: str
    name: str
    arguments: str
    torn: bool = False


@dataclass(frozen=True, slots=True)
class CallUsage:
    """The tokens and the cost of one model call; `cost_usd` is None where none is named."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """One whole answer. `cut_off`: the output limit ended it before the model did.

    `reasoning_field` is the name by which the provider calls the reasoning, and wants it back.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    reasoning_field: str = "reasoning"
    reasoning_details: tuple[Any, ...] = ()
    cut_off: bool = False
    model: str | None = None
    provider: str | None = None
    generation_id: str | None = None
    usage: CallUsage = field(default_factory=CallUsage)

    def with_new_ids(self, used: Collection[str]) -> "ModelTurn":
        """Returns the same answer, its calls named unlike any of these: some providers count from 0
        each time, and a result has to belong to one call."""
        if not any(call.id in used for call in self.tool_calls):
            return self
        calls = tuple(
            replace(call, id=_new_id()) if call.id in used else call for call in self.tool_calls
        )
        return replace(self, tool_calls=calls)

    def message(self) -> dict[str, Any]:
        """Returns the answer for the conversation, valid for every provider to read again."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.reasoning_details:
            message["reasoning_details"] = list(self.reasoning_details)
        elif self.reasoning:
            message[self.reasoning_field] = self.reasoning
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        # Providers refuse a history with a malformed call in it; what was wrong
                        # with the call stands in its result.
                        "name": call.name if _TOOL_NAME.fullmatch(call.name) else "unknown",
                        "arguments": call.arguments if _is_object(call.arguments) else "{}",
                    },
                }
                for call in self.tool_calls
            ]
        return message


class _CallFragments:
    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []


class TurnBuilder:
    """Collects the chunks of one streamed answer."""

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.chunks = 0
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._reasoning_field = REASONING
        self._details: list[Any] = []
        self._calls: dict[int, _CallFragments] = {}
        self._chars = 0
        self._usage = CallUsage()
        self._model: str | None = None
        self._provider: str | None = None
        self._generation_id: str | None = None

    def add(self, chunk: object) -> str:
        """Adds one chunk and returns the text in it.

        Raises ModelError when the answer grows beyond all reason.
        """
        self.chunks += 1
        if not isinstance(chunk, Mapping):
            return ""
        self._generation_id = _line(chunk.get("id")) or self._generation_id
        self._model = _line(chunk.get("model")) or self._model
        self._provider = _line(chunk.get("provider")) or self._provider
        if isinstance(usage := chunk.get("usage"), Mapping):
            self._usage = _usage(usage)
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping):
            return ""
        text = self._add_delta(choice.get("delta"))
        self.finish_reason = _line(choice.get("finish_reason")) or self.finish_reason
        if self._chars > _MAX_TURN_CHARS or len(self._calls) > _MAX_CALLS:
            raise ModelError(ErrorCode.MODEL_BAD_ANSWER, "The model's answer is far too long.")
        return text

    def build(self) -> ModelTurn:
        """Returns the whole answer. A call without an id, or with a used one, gets a new one."""
        return ModelTurn(
            text=clean("".join(self._text)),
            tool_calls=self._tool_calls(),
            reasoning=clean("".join(self._reasoning)),
            reasoning_field=self._reasoning_field,
            reasoning_details=_joined(self._details),
            cut_off=self.finish_reason == "length",
            model=self._model,
            provider=self._provider,
            generation_id=self._generation_id,
            usage=self._usage,
        )

    def _add_delta(self, delta: object) -> str:
        if not isinstance(delta, Mapping):
            return ""
        text = _text(delta.get("content"))
        self._text.append(text)
        reasoning = _text(delta.get(REASONING))
        if not reasoning and (reasoning := _text(delta.get(REASONING_CONTENT))):
            self._reasoning_field = REASONING_CONTENT
        self._reasoning.append(reasoning)
        self._chars += len(text) + len(reasoning)
        if isinstance(details := delta.get("reasoning_details"), list):
            self._details.extend(details)
        if isinstance(calls := delta.get("tool_calls"), list):
            for position, call in enumerate(calls):
                self._add_call(call, position)
        return text

    def _add_call(self, call: object, position: int) -> None:
        if not isinstance(call, Mapping):
            return
        index = call.get("index")
        fragments = self._calls.setdefault(
            index if isinstance(index, int) else position, _CallFragments()
        )
        fragments.id = fragments.id or _line(call.get("id")) or ""
        function = call.get("function")
        if isinstance(function, Mapping):
            fragments.name = fragments.name or clean(_text(function.get("name")))
            arguments = _text(function.get("arguments"))
            fragments.arguments.append(arguments)
            self._chars += len(arguments)

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        calls: list[ToolCall] = []
        used: set[str] = set()
        for _, fragments in sorted(self._calls.items()):
            call_id = fragments.id
            if not call_id or call_id in used:
                call_id = _new_id()
            used.add(call_id)
            calls.append(ToolCall(call_id, fragments.name, clean("".join(fragments.arguments))))
        if calls and self.finish_reason == "length" and not _is_object(calls[-1].arguments):
            calls[-1] = replace(calls[-1], torn=True)
        return tuple(calls)


def _new_id() -> str:
    return f"call_{uuid.uuid4().hex[:16]}"


def _joined(details: list[Any]) -> tuple[Any, ...]:
    """Joins the fragments of a reasoning text to one entry, as the provider wants them back."""
    joined: list[Any] = []
    for detail in details:
        last = joined[-1] if joined else None
        if (
            isinstance(detail, dict)
            and isinstance(last, dict)
            and detail.get("type") == last.get("type") == "reasoning.text"
            and detail.get("index") == last.get("index")
        ):
            text = _text(last.get("text")) + _text(detail.get("text"))
            known = {key: value for key, value in detail.items() if value is not None}
            joined[-1] = {**last, **known, "text": text}
        else:
            joined.append(detail)
    return tuple(joined)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _line(value: object) -> str | None:
    return clean(value)[:200] if isinstance(value, str) and value else None


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


def _usage(usage: Mapping[str, Any]) -> CallUsage:
    prompt, completion = usage.get("prompt_tokens_details"), usage.get("completion_tokens_details")
    cost = usage.get("cost")
    return CallUsage(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(prompt.get("cached_tokens")) if isinstance(prompt, Mapping) else 0,
        reasoning_tokens=(
            _count(completion.get("reasoning_tokens")) if isinstance(completion, Mapping) else 0
        ),
        # Not "cost >= 0": NaN must not pass.
        cost_usd=(
            float(cost) if isinstance(cost, int | float) and 0 <= cost < _MAX_COST_USD else None
        ),
    )
