"""Takes secrets out of a bridge's answers and events, before anything else of the bot sees it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bot.domain.bounded_json import OFF_LOOP_BYTES, CostlyJsonError, check_json, parse_json
from bot.errors import BridgeUnreachable
from bot.redaction import Hide, hidden_in
from bridge.protocol import AgentEvent, Diff, parse_event, unreadable_event

_Model = TypeVar("_Model", bound=BaseModel)
# Of the largest conversation, with messages of some hundred bytes.
_CONVERSATION_VALUES = 500_000
_PIECE_CHARS = 64 * 1024


def hidden(model: _Model, hide: Hide) -> _Model:
    """Returns the same value with every string in it passed through `hide`.

    No string gets longer by it, so that what is stored still fits its bounds.
    """
    changed = {}
    for name, value in model:
        new = _hidden(value, hide)
        if new != value:
            changed[name] = new
    return model.model_copy(update=changed) if changed else model


def hidden_event(event: AgentEvent, hide: Hide) -> AgentEvent:
    """Returns the event without secrets; one that cannot be read without them is unreadable."""
    clean = hidden(event, hide)
    if clean is event:
        return event
    try:
        return parse_event(clean.model_dump_json())
    except ValidationError:  # an identifier that looks like a secret
        return unreadable_event(event.seq)


def _hidden(value: Any, hide: Hide) -> Any:  # noqa: ANN401  (a field of any type)
    match value:
        case BaseModel():
            return hidden(value, hide)
        case str():
            return hide(value)[: len(value)]
        case tuple():
            return tuple(_hidden(item, hide) for item in value)
        case _:
            return hidden_in(value, hide)


async def hidden_diff(diff: Diff, hide: Hide) -> Diff:
    """Returns a diff without secrets; a long one in pieces, so that other tasks go on meanwhile."""
    pieces: list[str] = []
    for piece in _pieces(diff.text):
        pieces.append(hide(piece))
        await asyncio.sleep(0)
    without_text = hidden(diff.model_copy(update={"text": ""}), hide)
    return without_text.model_copy(update={"text": "".join(pieces)})


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while start < len(text):
        end = start + _PIECE_CHARS
        if end < len(text):
            end = text.rfind("\n", start, end) + 1 or end
        yield text[start:end]
        start = end


async def hidden_conversation(saved: bytes, hide: Hide) -> bytes:
    """Returns a saved conversation without secrets.

    Raises BridgeUnreachable when it is no JSON, or JSON that is too deep or of too many values:
    no bridge would take it again, and nobody can say whether a secret is in it.
    """
    try:
        if len(saved) > OFF_LOOP_BYTES:
            # Seconds of work for the largest; other tasks go on meanwhile.
            return await asyncio.to_thread(_hidden_json, saved, hide)
        return _hidden_json(saved, hide)
    except ValueError as error:
        raise BridgeUnreachable(f"not a conversation: {error}"[:300]) from error


def _hidden_json(saved: bytes, hide: Hide) -> bytes:
    value = parse_json(saved, _CONVERSATION_VALUES)
    clean = hidden_in(value, hide)
    return saved if clean == value else json.dumps(clean).encode()


async def check_diff(body: bytes) -> None:
    """Checks that a diff costs no more to read than its bytes tell; raises BridgeUnreachable."""
    try:
        await asyncio.to_thread(check_json, body)
    except CostlyJsonError as error:
        raise BridgeUnreachable(f"not a diff: {error}") from error
