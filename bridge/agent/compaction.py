"""Keeps the conversation within the model's context: a summary takes the place of its old part."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.agent.model_retry import ModelRetry
from bridge.errors import ModelError
from bridge.model.client import ChatModel
from bridge.model.limits import ChatMessage, Meter, ModelLimits, Summary, cut_before, size_of
from bridge.model.response import ModelTurn
from bridge.protocol import MAX_MESSAGE_CHARS, ContextCompacted, ErrorCode
from bridge.state.conversation import Conversation
from bridge.state.event_log import EventLog
from bridge.text import NOTE, cut_middle

_log = logging.getLogger(__name__)
# Shares of the room behind the standing instructions and the tools.
_KEPT_SHARE, _SUMMARY_SHARE, _FACTS_SHARE = 0.3, 0.15, 0.1
_LEAST_ROOM_TOKENS = 1_000
_FITS_ANYWHERE_TOKENS = 6_000  # no model that can work on code takes less
_MOST_BYTES = 48_000  # of the model's words, and of the facts: more is no summary
_LEAST_GAIN = 0.1  # a summary that saves less is not worth its price
_MAX_NAMED_FILES = 60
_WRITING_TOOLS = frozenset({"write_file", "edit_file"})
_LEAST_CHARS = 400
_LAST_WORDS = 3

_SUMMARY_NOTE = (
    f"{NOTE} The conversation has become long: its older part is about to be replaced by a summary "
    "that you write now. It is all that you will know of that part. Call no tool. In at most "
    "{words} words, under these headings: Task (what is wanted, with every constraint, name, "
    "number and path that matters); Decisions (what was decided and why, what failed); "
    "Files (which were read or changed, what in them matters); State (what is done, what was "
    "verified and how); Open points (what is left, in order). Keep what an earlier summary says "
    "and still holds. Facts only; no credentials."
)
_BY_MODEL = "# Summary, written by you"
_BEFORE = "# From the summary before"
_HEAD = (
    f"{NOTE} The older part of this conversation is left out. This is what it came to; the newest "
    "messages follow as they were. Read a file again before you rely on its details."
)

Tools = Sequence[Mapping[str, Any]]


class Compaction:
    """Asks the model with a prompt that fits: measures it, and makes it smaller in time.

    `summary_model` writes the summaries; None: the model of the task does.
    """

    def __init__(
        self,
        model: ChatModel,
        conversation: Conversation,
        events: EventLog,
        calls: ModelRetry,
        *,
        summary_model: str | None = None,
    ) -> None:
        self._model = model
        self._conversation = conversation
        self._events = events
        self._calls = calls
        self._summary_model = summary_model
        self._meter = Meter()
        self._learned: dict[str, ModelLimits] = {}
        self._tools_bytes: tuple[Tools, int] = ((), 0)

    async def ask(
        self, task_id: str, model: str, tools: Tools, *, max_attempts: int | None = None
    ) -> ModelTurn:
        """Asks the model; a prompt that it refuses as too long is made shorter, once.

        Raises ModelError when it fails for good.
        """
        await self._make_room(task_id, model, tools)
        prompt_bytes = self._prompt_bytes(tools)
        try:
            turn = await self._calls.ask(task_id, model, tools, max_attempts=max_attempts)
        except ModelError as error:
            if error.code is not ErrorCode.CONTEXT_OVERFLOW:
                raise
            if not await self._make_room_after(task_id, model, tools, error):
                raise
            prompt_bytes = self._prompt_bytes(tools)
            turn = await self._calls.ask(task_id, model, tools, max_attempts=max_attempts)
        self._meter.add_count(turn.usage.prompt_tokens, prompt_bytes)
        return turn

    async def limits(self, model: str) -> ModelLimits:
        """Returns the limits of a model, as far as they are known."""
        return self._learned.get(model) or await self._model.limits(model)

    def _prompt_bytes(self, tools: Tools) -> int:
        """Returns the size of the next prompt on the wire."""
        if self._tools_bytes[0] is not tools:
            self._tools_bytes = (tools, size_of(list(tools)))
        return self._conversation.view_bytes() + self._tools_bytes[1]

    async def _make_room(self, task_id: str, model: str, tools: Tools) -> None:
        """Writes a summary, if the next prompt would come too near to the model's limit."""
        estimate = self._meter.estimate(self._prompt_bytes(tools))
        if estimate <= _FITS_ANYWHERE_TOKENS:
            return  # so that a first call never waits for the provider's list
        limits = await self.limits(model)
        if estimate > limits.prompt_tokens:
            await self._compact(task_id, model, tools, limits, fits=True)

    async def _make_room_after(
        self, task_id: str, model: str, tools: Tools, error: ModelError
    ) -> bool:
        """Writes a summary after the provider refused the prompt; False: nothing to leave out."""
        estimate = self._meter.estimate(self._prompt_bytes(tools))
        limits = (await self.limits(model)).after_overflow(error.provider_text, estimate)
        self._learned[model] = limits
        _log.warning("the prompt of about %s tokens was too long: %s", estimate, error.message)
        return await self._compact(task_id, model, tools, limits, fits=False)

    async def _compact(
        self, task_id: str, model: str, tools: Tools, limits: ModelLimits, *, fits: bool
    ) -> bool:
        conversation, before = self._conversation, self._meter.estimate(self._prompt_bytes(tools))
        fixed_bytes = self._tools_bytes[1] + sum(conversation.sizes[: conversation.head])
        fixed = self._meter.bytes_in(limits.prompt_tokens) - fixed_bytes
        room = max(fixed, self._meter.bytes_in(_LEAST_ROOM_TOKENS))
        first = conversation.summary.upto if conversation.summary else conversation.head
        upto = cut_before(conversation.messages, conversation.sizes, first, int(room * _KEPT_SHARE))
        if upto is None or sum(conversation.sizes[first:upto]) < room * _LEAST_GAIN:
            return False
        facts = facts_of(
            conversation.messages[conversation.head : upto],
            min(int(room * _FACTS_SHARE), _MOST_BYTES),
        )
        limit = min(int(room * _SUMMARY_SHARE), _MOST_BYTES)
        written = await self._ask_for_summary(task_id, model, tools, limit, fits=fits)
        earlier = conversation.summary.text if conversation.summary else ""
        text = summary_text(facts, written, earlier, limit)
        left_out = upto - first
        conversation.add_summary(Summary(text, upto))
        self._meter.forget()
        await conversation.sync()
        await self._events.record(
            ContextCompacted(
                task_id=task_id,
                messages_left_out=left_out,
                tokens_before=before,
                tokens_after=self._meter.estimate(self._prompt_bytes(tools)),
                by_model=bool(written),
                summary=text[:MAX_MESSAGE_CHARS],
            )
        )
        return True

    async def _ask_for_summary(
        self, task_id: str, model: str, tools: Tools, limit_bytes: int, *, fits: bool
    ) -> str:
        """Returns the model's own summary; empty when it fails, which must not stop the work.

        The model is asked at the end of the very prompt that it knows, most of which is cached.
        """
        conversation = self._conversation
        view = conversation.view()
        if not fits:
            view = _first_half(view, conversation.head)
        note = {"role": "user", "content": _SUMMARY_NOTE.format(words=max(limit_bytes // 8, 80))}
        try:
            asked = self._summary_model or model
            turn = await self._calls.ask_separately(task_id, asked, [*view, note], tools)
        except ModelError as error:
            _log.warning("no summary by the model: %s", error.message)
            return ""
        return turn.text.strip()


def _first_half(view: list[Mapping[str, Any]], head: int) -> list[Mapping[str, Any]]:
    """Returns about the older half of a prompt, ending where a message may follow."""
    sizes = [size_of(message) for message in view]
    upto, taken, half = head, 0, sum(sizes[head:]) // 2
    for position in range(head, len(view)):
        taken += sizes[position]
        if taken > half:
            break
        if position + 1 < len(view) and view[position + 1]["role"] != "tool":
            upto = position + 1
    return view[:upto]


@dataclass(frozen=True, slots=True)
class Facts:
    """The part of a summary that needs no model: requests of people, files that were written."""

    people: tuple[str, ...]
    left_out: int
    files: tuple[str, ...]
    last_words: tuple[str, ...]


def facts_of(messages: Sequence[ChatMessage], limit_chars: int) -> Facts:
    """Returns the facts of the part that is left out; the newest request is shortened last."""
    asked = [
        text
        for message in messages
        if message["role"] == "user"
        and isinstance(text := message.get("content"), str)
        and not text.startswith(NOTE)
    ]
    kept: dict[int, str] = {}
    room = max(limit_chars, _LEAST_CHARS)
    # The newest request and the first: what lies between them is worth what room is left.
    for position in dict.fromkeys((len(asked) - 1, 0, *range(len(asked) - 2, 0, -1))):
        if room < _LEAST_CHARS // 4 or not asked:
            break
        kept[position] = cut_middle(asked[position], max(room // 2, _LEAST_CHARS // 2))
        room -= len(kept[position])
    answers = [
        message["content"].strip()
        for message in messages
        if message["role"] == "assistant" and isinstance(message.get("content"), str)
    ]
    return Facts(
        people=tuple(kept[position] for position in sorted(kept)),
        left_out=len(asked) - len(kept),
        files=tuple(dict.fromkeys(_written(messages)))[-_MAX_NAMED_FILES:],
        last_words=tuple(text for text in answers if text)[-_LAST_WORDS:],
    )


def summary_text(facts: Facts, written: str, earlier: str, limit_chars: int) -> str:
    """Returns the message that stands for the older part.

    `written` is the model's summary. Without one the message holds its last answers and the
    summary before.
    """
    parts = [_HEAD, "# What people asked, in their words", *(f"- {text}" for text in facts.people)]
    if facts.left_out:
        parts.append(f"- ({facts.left_out} more messages are left out)")
    if facts.files:
        parts += ["# Files written so far", ", ".join(f"`{path}`" for path in facts.files)]
    if written:
        parts += [_BY_MODEL, cut_middle(written, max(limit_chars, _LEAST_CHARS))]
    else:
        words = "\n".join(f"- {text}" for text in facts.last_words)
        parts += ["# What you said last before this point", cut_middle(words, limit_chars)]
        if earlier:
            kept = earlier.partition(_BY_MODEL)[2] or earlier.partition(_BEFORE)[2]
            parts += [_BEFORE, cut_middle(kept.strip(), max(limit_chars, _LEAST_CHARS))]
    return "\n".join(parts)


def _written(messages: Sequence[ChatMessage]) -> Iterator[str]:
    for message in messages:
        for call in message.get("tool_calls") or ():
            function: Mapping[str, Any] = call.get("function") or {}
            if function.get("name") in _WRITING_TOOLS and (path := _path(function)):
                yield path


def _path(function: Mapping[str, Any]) -> str:
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except (ValueError, RecursionError):
        return ""
    path = arguments.get("path") if isinstance(arguments, dict) else None
    return path[:200] if isinstance(path, str) else ""
