"""A turn as OpenRouter's answers: chunks of a stream, or one body; usage and cost at the end."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from playground.model.catalog import CACHE_READ_SHARE, prices
from playground.model.parsed_conversation import ScriptedTurn

Json = dict[str, Any]

CHARS_PER_TOKEN = 4
TEXT_PIECE = 16
ARGUMENTS_PIECE = 12


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer to one request: its id, the model asked for, the prompt's size, the turn."""

    id: str
    model: str
    created: int
    prompt_tokens: int
    cached_tokens: int
    turn: ScriptedTurn

    def usage(self) -> Json:
        """Tokens counted as characters / 4, and their cost by the catalogue's prices."""
        output = self.turn.text + "".join(json.dumps(c.arguments) for c in self.turn.calls)
        completion = max(1, len(output) // CHARS_PER_TOKEN)
        prompt_price, completion_price = prices(self.model)
        new_tokens = self.prompt_tokens - self.cached_tokens * (1 - CACHE_READ_SHARE)
        prompt_cost = round(new_tokens * prompt_price, 9)
        completion_cost = round(completion * completion_price, 9)
        cost = round(prompt_cost + completion_cost, 9)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "cost": cost,
            "is_byok": False,
            "prompt_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": 0,
                "audio_tokens": 0,
                "video_tokens": 0,
            },
            "cost_details": {
                "upstream_inference_cost": cost,
                "upstream_inference_prompt_cost": prompt_cost,
                "upstream_inference_completions_cost": completion_cost,
            },
            "completion_tokens_details": {
                "reasoning_tokens": len(self.turn.reasoning) // CHARS_PER_TOKEN,
                "image_tokens": 0,
                "audio_tokens": 0,
            },
        }

    def head(self, kind: str = "chat.completion.chunk") -> Json:
        return {
            "id": self.id,
            "provider": "Playground",
            "model": self.model,
            "object": kind,
            "created": self.created,
        }

    def chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice = {
            "index": 0,
            "delta": delta,
            "finish_reason": finish,
            "native_finish_reason": finish,
            "logprobs": None,
        }
        return self.head() | {"choices": [choice]}

    def content_chunks(self) -> Iterator[Json]:
        """Reasoning, text and tool calls in fragments; those of parallel calls interleaved."""
        if reasoning := self.turn.reasoning:
            details = [{"type": "reasoning.text", "text": reasoning, "index": 0, "format": None}]
            delta = {"role": "assistant", "content": "", "reasoning": reasoning}
            yield self.chunk(delta | {"reasoning_details": details})
        text = self.turn.text
        for start in range(0, len(text), TEXT_PIECE):
            yield self.chunk({"role": "assistant", "content": text[start : start + TEXT_PIECE]})
        yield from map(self.chunk, self._call_deltas())

    def _call_deltas(self) -> Iterator[Json]:
        pieces: list[list[Json]] = []
        for index, call in enumerate(self.turn.calls):
            function = {"name": call.name, "arguments": ""}
            first = {"index": index, "id": self.call_id(index), "type": "function"}
            arguments = json.dumps(call.arguments)
            fragments = [
                {
                    "index": index,
                    "type": "function",
                    "function": {"arguments": arguments[start : start + ARGUMENTS_PIECE]},
                }
                for start in range(0, len(arguments), ARGUMENTS_PIECE)
            ]
            pieces.append([first | {"function": function}, *fragments])
        for row in zip_longest(*pieces):
            for piece in row:
                if piece is not None:
                    yield {"role": "assistant", "content": None, "tool_calls": [piece]}

    def call_id(self, index: int) -> str:
        return f"call_{self.id.removeprefix('gen-')}_{index}"

    def finish_chunk(self) -> Json:
        return self.chunk({"role": "assistant", "content": ""}, self.turn.finish_reason)

    def usage_chunk(self) -> Json:
        return self.head() | {"choices": [], "usage": self.usage()}

    def body(self) -> Json:
        """The whole answer, for a request without streaming."""
        message: Json = {
            "role": "assistant",
            "content": self.turn.text or None,
            "refusal": None,
            "reasoning": self.turn.reasoning or None,
        }
        if self.turn.calls:
            message["tool_calls"] = [
                {
                    "index": index,
                    "id": self.call_id(index),
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
                }
                for index, call in enumerate(self.turn.calls)
            ]
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": self.turn.finish_reason,
            "native_finish_reason": self.turn.finish_reason,
            "logprobs": None,
        }
        head = self.head("chat.completion")
        return head | {"choices": [choice], "usage": self.usage()}


def data(chunk: Json) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


COMMENT = b": OPENROUTER PROCESSING\n\n"
DONE = b"data: [DONE]\n\n"
