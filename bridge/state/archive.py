"""Saves a conversation as bytes that outlive the container, and restores it in another bridge."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from bridge.errors import BridgeError
from bridge.model.limits import ChatMessage, Summary
from bridge.protocol import (
    MAX_CONVERSATION_BYTES,
    MAX_WAITING_MESSAGES,
    PROTOCOL_VERSION,
    ChatRequest,
    Disposition,
    ErrorCode,
    ExecuteRequest,
    SavedConversation,
)
from bridge.state.conversation import Conversation, UserMessage, open_calls
from bridge.text import NOTE, clean

_ENVELOPE_BYTES = 1_024
_RESULTS_BYTES = 4 * 1_048_576
_BYTES_PER_PAUSE = 1_048_576
_DEFAULT_STEPS: int = ExecuteRequest.model_fields["max_steps"].default
_CUT = (
    f"{NOTE} The older part of this conversation is left out here. Look at the "
    "workspace again before you rely on what it held."
)


async def export_conversation(
    conversation: Conversation,
    last_seq: int,
    limit_bytes: int = MAX_CONVERSATION_BYTES,
    results: Callable[[int], list[bytes]] = lambda _limit_bytes: [],
) -> bytes:
    """Returns the conversation as a SavedConversation in JSON, at most `limit_bytes`.

    `results` gives the newest long results, as JSON, for what room is left.

    A turn whose calls have no results yet is left out. What is too large keeps the standing
    instructions and its newest part, from a person's message on, and says so.
    """
    messages = conversation.messages[: open_calls(conversation.messages)[0]]
    asked = [_request(message).model_dump(mode="json") for message in conversation.waiting]
    waiting = _encoded(asked)
    parts, size = [], 0
    for message in messages:
        parts.append(_encoded(message))
        size += len(parts[-1]) + 1
        if size > _BYTES_PER_PAUSE:
            size = 0
            await asyncio.sleep(0)  # others are answered while a long one is written
    summary = conversation.summary
    summary_text = _encoded(summary.text) if summary else b"null"
    room = limit_bytes - len(waiting) - len(summary_text) - _ENVELOPE_BYTES
    kept, shift, least = _newest(messages, parts, room)
    upto = max(summary.upto + shift, least) if summary else 0
    head = f'{{"protocol":{PROTOCOL_VERSION},"last_seq":{last_seq},"messages":['.encode()
    left = room - sum(map(len, kept)) - len(kept)
    whole = b",".join(results(min(left, _RESULTS_BYTES)))
    tail = b'],"summary":' + summary_text + f',"summary_upto":{upto},"results":['.encode() + whole
    return head + b",".join(kept) + tail + b'],"waiting":' + waiting + b"}"


def restore_conversation(conversation: Conversation, saved: SavedConversation) -> None:
    """Replaces the conversation by the saved one; raises BridgeError when that is malformed."""
    if saved.protocol > PROTOCOL_VERSION:
        raise BridgeError(
            ErrorCode.INVALID_REQUEST,
            f"This conversation was saved by protocol {saved.protocol}; the bridge speaks "
            f"{PROTOCOL_VERSION}.",
        )
    _require_sound(saved.messages)
    if len(saved.waiting) > MAX_WAITING_MESSAGES:
        raise BridgeError(
            ErrorCode.INVALID_REQUEST, f"More than {MAX_WAITING_MESSAGES} messages wait."
        )
    waiting = [_message(request) for request in saved.waiting]
    if len({message.task_id for message in waiting}) < len(waiting):
        raise BridgeError(ErrorCode.INVALID_REQUEST, "Two waiting messages have one task_id.")
    whole = saved.messages[: open_calls(saved.messages)[0]]
    summary = _summary(saved, whole)
    conversation.restore(whole, waiting, saved.last_seq, digest_of_saved(saved), summary)


def _summary(saved: SavedConversation, messages: Sequence[ChatMessage]) -> Summary | None:
    """Returns the summary, if it stands for a part of these messages that can be left out."""
    upto = saved.summary_upto
    if saved.summary is None or not 0 < upto <= len(messages):
        return None
    torn = upto < len(messages) and messages[upto]["role"] == "tool"
    return None if torn else Summary(saved.summary, upto)


def digest_of_saved(saved: SavedConversation) -> str:
    """Returns a digest of the content, the same however its JSON was written."""
    fields = [
        saved.last_seq,
        saved.messages,
        [asked.model_dump() for asked in saved.waiting],
        saved.summary,
        saved.summary_upto,
    ]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _newest(
    messages: Sequence[ChatMessage], parts: list[bytes], room: int
) -> tuple[list[bytes], int, int]:
    """Returns the parts that fit, the shift of the newer positions, and the first of those."""
    if sum(map(len, parts)) + len(parts) <= room:
        return parts, 0, 0
    head = parts[:1] if messages[0]["role"] == "system" else []
    head.append(_encoded({"role": "user", "content": _CUT}))
    room -= sum(map(len, head)) + len(head)
    start = end = len(parts)
    for position in range(end - 1, len(head) - 2, -1):
        room -= len(parts[position]) + 1
        if room < 0:
            break
        if messages[position]["role"] == "user":
            start = position
    return head + parts[start:], len(head) - start, len(head)


def _encoded(value: object) -> bytes:
    # Half a surrogate pair, which a provider may have sent, is text that no strict reader takes.
    return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()


def _request(message: UserMessage) -> ChatRequest:
    return ChatRequest(
        message_id=message.id,
        task_id=message.task_id,
        text=message.text,
        mode=message.mode,
        model=message.model,
        max_steps=message.max_steps,
        author=message.author,
        approvals=message.approvals,
    )


def _message(request: ChatRequest) -> UserMessage:
    if request.model is None:
        raise BridgeError(ErrorCode.INVALID_REQUEST, "A waiting message has to name its model.")
    return UserMessage(
        **request.model_dump(exclude={"max_steps"}),
        max_steps=request.max_steps or _DEFAULT_STEPS,
        disposition=Disposition.QUEUED,
    )


def _require_sound(messages: Sequence[dict[str, Any]]) -> None:
    """Refuses messages that would make every later model call fail."""
    for number, message in enumerate(messages):
        calls = message.get("tool_calls") or []
        is_sound = (
            message.get("role") in ("system", "user", "assistant", "tool")
            and (message["role"] != "tool" or isinstance(message.get("tool_call_id"), str))
            and isinstance(calls, list)
            and all(isinstance(call, dict) and isinstance(call.get("id"), str) for call in calls)
        )
        if not is_sound:
            raise BridgeError(ErrorCode.INVALID_REQUEST, f"messages.{number} is no chat message.")
