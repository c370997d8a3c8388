"""Checks the body of a model call, and writes the body that goes to the provider.

The body is written anew from what was understood, so that nobody can understand it differently
behind the gateway. Options that would cost money beyond tokens are refused by name.
"""

import fnmatch
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from bot.domain.bounded_json import CostlyJsonError, parse_json
from bot.domain.budget import LEAST_ANSWER_TOKENS, estimated_tokens
from bot.gateway.upstream import RequestRefusedError
from bridge.protocol import MAX_MODEL_CHARS

_KEYS = frozenset(
    {
        "model", "models", "messages", "tools", "tool_choice", "parallel_tool_calls", "stream",
        "stream_options", "usage", "max_tokens", "max_completion_tokens", "n", "temperature",
        "top_p", "top_k", "min_p", "top_a", "seed", "stop", "frequency_penalty",
        "presence_penalty", "repetition_penalty", "logit_bias", "response_format",
        "structured_outputs", "reasoning", "reasoning_effort", "include_reasoning", "verbosity",
        "transforms", "user", "logprobs", "top_logprobs", "cache_control", "prompt_cache_key",
    }
)  # fmt: skip
_LIMITS = ("max_tokens", "max_completion_tokens")
_MAX_MODELS = 10
_TEXT_PARTS = frozenset({"text", "image_url"})
# What an image costs has no relation to its bytes; this is more than providers count for one.
_IMAGE_TOKENS = 16_000


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A call that is allowed, given budget for it.

    `asked_tokens` is None when the agent named no limit for the answer.
    """

    fields: Mapping[str, Any]
    models: tuple[str, ...]
    prompt_tokens: int
    asked_tokens: int | None
    streams: bool

    @property
    def model(self) -> str:
        """Returns the model that is asked first."""
        return self.models[0]

    def limit(self, max_tokens: int, context_tokens: int | None) -> int:
        """Returns the limit of the answer: the one that the agent named, at most `max_tokens`.

        Where it named nothing, the answer fits into the context beside the prompt.
        """
        if self.asked_tokens is not None:
            return min(self.asked_tokens, max_tokens)
        if context_tokens is None:
            return max_tokens
        return max(min(max_tokens, context_tokens - self.prompt_tokens), LEAST_ANSWER_TOKENS)

    def body(self, max_tokens: int) -> bytes:
        """Writes the body for the provider, with this limit and a request for the usage."""
        fields = dict(self.fields)
        name = next((key for key in _LIMITS if key in fields), _LIMITS[0])
        for key in _LIMITS:
            fields.pop(key, None)
        fields[name] = max_tokens
        fields["usage"] = {"include": True}
        fields.pop("stream_options", None)
        if self.streams:
            fields["stream_options"] = {"include_usage": True}
        return _written(fields)


def read_chat(body: bytes, allowed: Sequence[str]) -> ChatCall:
    """Reads and checks a body; `allowed` are patterns of models, and an empty one allows all.

    Raises RequestRefusedError.
    """
    fields = _object(body)
    if unknown := sorted(fields.keys() - _KEYS):
        raise RequestRefusedError(400, f"`{unknown[0][:60]}` does not pass this gateway.")
    if fields.get("n") not in (None, 1):
        raise RequestRefusedError(400, "`n` must be 1.")
    models = _models(fields)
    for model in models:
        _check_model(model, allowed)
    images = _images_in(_messages(fields))
    _check_tools(fields.get("tools"))
    prompt = json.dumps([fields["messages"], fields.get("tools")], ensure_ascii=False)
    return ChatCall(
        fields=fields,
        models=models,
        prompt_tokens=estimated_tokens(prompt) + images * _IMAGE_TOKENS,
        asked_tokens=_asked(fields),
        streams=_streams(fields),
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = parse_json(body, parse_constant=_refuse_constant)
    except CostlyJsonError as error:
        raise RequestRefusedError(400, f"The body costs too much to read: {error}.") from None
    except ValueError:
        raise RequestRefusedError(400, "The body is not JSON.") from None
    if not isinstance(fields, dict):
        raise RequestRefusedError(400, "The body is not a JSON object.")
    return fields


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(word)


def _written(fields: Mapping[str, Any]) -> bytes:
    compact = (",", ":")
    try:
        return json.dumps(fields, ensure_ascii=False, separators=compact).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can name and UTF-8 cannot
        return json.dumps(fields, separators=compact).encode()


def _messages(fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestRefusedError(400, "`messages` must be a list with at least one message.")
    if not all(isinstance(message, dict) for message in messages):
        raise RequestRefusedError(400, "Each message must be an object.")
    return messages


def _images_in(messages: Sequence[Mapping[str, Any]]) -> int:
    images = 0
    for message in messages:
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise RequestRefusedError(400, "A message's content must be text or a list of parts.")
        for part in content:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind not in _TEXT_PARTS:
                raise RequestRefusedError(400, "Only text and images may be sent to the model.")
            images += kind == "image_url"
    return images


def _check_tools(tools: object) -> None:
    if tools is None:
        return
    if not isinstance(tools, list) or not all(
        isinstance(tool, dict) and tool.get("type") == "function" for tool in tools
    ):
        raise RequestRefusedError(400, "Only tools of the type `function` pass this gateway.")


def _models(fields: Mapping[str, Any]) -> tuple[str, ...]:
    more = fields.get("models", [])
    names = [fields.get("model"), *more] if isinstance(more, list) else [None]
    if len(names) > _MAX_MODELS or not all(
        isinstance(name, str) and 0 < len(name) <= MAX_MODEL_CHARS for name in names
    ):
        raise RequestRefusedError(400, "`model` must name a model.")
    return tuple(str(name) for name in names)


def _check_model(model: str, allowed: Sequence[str]) -> None:
    if model.endswith(":online"):
        raise RequestRefusedError(400, "Web search of the provider does not pass this gateway.")
    if allowed and not any(fnmatch.fnmatchcase(model, pattern) for pattern in allowed):
        raise RequestRefusedError(
            403, f"The model {model[:80]} is not allowed here (MODEL_ALLOW). Choose another one."
        )


def _asked(fields: Mapping[str, Any]) -> int | None:
    limits = [fields[name] for name in _LIMITS if fields.get(name) is not None]
    for limit in limits:
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise RequestRefusedError(400, "The limit of tokens must be a whole number above 0.")
    return min(limits, default=None)


def _streams(fields: Mapping[str, Any]) -> bool:
    streams = fields.get("stream") or False
    if not isinstance(streams, bool):
        raise RequestRefusedError(400, "`stream` must be true or false.")
    return streams
