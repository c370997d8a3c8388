"""Keeps the conversation with the model, and the messages that wait to join it, on disk.

Both lie in one file, so that a message leaves the queue and enters the conversation in one write.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bridge.model.limits import ChatMessage, Summary, size_of
from bridge.model.response import ToolCall
from bridge.protocol import Approvals, ChatMode, Disposition
from bridge.state.journal import Journal

_TURNS = {ChatMode.INTERRUPT: 0, ChatMode.STEER: 1, ChatMode.QUEUE: 2}
_REASONING = frozenset({"reasoning", "reasoning_content", "reasoning_details"})


class UserMessage(BaseModel):
    """An accepted message of a person: it becomes a task, or joins the one at work."""

    model_config = ConfigDict(frozen=True)
    task_id: str
    message_id: str | None = None
    text: str
    mode: ChatMode
    model: str
    max_steps: int
    author: str = ""
    approvals: Approvals = Approvals.REFUSE
    disposition: Disposition = Disposition.STARTED

    @property
    def id(self) -> str:
        """Returns the sender's name of it: for the message that starts a task, the task's own."""
        return self.message_id or self.task_id


class Conversation:
    """The messages to and from the model. Every tool call in it has a result, or is about to get
    one.

    `messages` is all of it, for good; the model is told `view()`, where a summary may stand for
    the older part. The view only grows at its end until the next summary replaces a part of it.
    """

    messages: list[ChatMessage]
    sizes: list[int]  # bytes of each message, so that nobody has to measure them twice
    summary: Summary | None
    call_ids: set[str]  # of every tool call so far
    waiting: list[UserMessage]
    withdrawn: set[str]  # the task ids that withdrawn messages would have become
    last_accepted: UserMessage | None
    base_seq: int  # where the events of an earlier bridge ended
    restored_digest: str | None
    _bytes: int
    _by_task: dict[str, UserMessage]
    _by_message: dict[str, UserMessage]

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._reset()
        position = 0
        while lines := self._journal.read(position):
            for line in lines:
                self._apply(json.loads(line))
            position += len(lines)

    def accept_message(self, message: UserMessage) -> None:
        """Lets the message wait; call `sync` before promising so."""
        self._write({"accepted": message.model_dump(mode="json")})

    def revise_message(self, message: UserMessage, text: str) -> None:
        """Changes the text of a waiting message; call `sync` before promising so."""
        self._write({"revised": message.task_id, "text": text})

    def withdraw_message(self, message: UserMessage) -> None:
        """Takes a waiting message out of the queue for good; call `sync` before promising so."""
        self._write({"withdrawn": message.task_id})

    def restore(
        self,
        messages: Sequence[ChatMessage],
        waiting: Sequence[UserMessage],
        last_seq: int,
        digest: str,
        summary: Summary | None = None,
    ) -> None:
        """Begins with an earlier conversation instead of whatever is here.

        It is one line of the file, so that a kill leaves all of it or nothing; call `sync` before
        promising it. `last_seq` is where the earlier events ended.
        """
        queue = [message.model_dump(mode="json") for message in waiting]
        record = {"messages": messages, "waiting": queue, "last_seq": last_seq, "digest": digest}
        if summary is not None:
            record |= {"summary": summary.text, "upto": summary.upto}
        self._write({"restored": record})

    def take_message(self, message: UserMessage) -> None:
        """Moves a message from the queue into the conversation."""
        entry = {"role": "user", "content": message.text}
        self._write({"message": entry, "takes": message.task_id})

    def append(self, message: ChatMessage) -> None:
        """Adds a message of the model, a tool or the bridge."""
        self._write({"message": message})

    def add_summary(self, summary: Summary) -> None:
        """Lets the summary stand for what lies before `summary.upto`."""
        self._write({"summarised": summary.text, "upto": summary.upto})

    def drop_reasoning(self) -> None:
        """Drops the reasoning of the model: another model could not read it, and may refuse it."""
        if any(_REASONING & message.keys() for message in self.messages):
            self._write({"reasoning_dropped": len(self.messages)})

    def view(self) -> list[ChatMessage]:
        """Returns the prompt: the standing instructions, the summary, and what follows it."""
        if self.summary is None:
            return list(self.messages)
        summary = {"role": "user", "content": self.summary.text}
        return [*self.messages[: self.head], summary, *self.messages[self.summary.upto :]]

    def view_bytes(self) -> int:
        """Returns the size of the view."""
        if self.summary is None:
            return self._bytes
        left_out = self._bytes_before(self.summary.upto)
        return (
            self._bytes - left_out + self._bytes_before(self.head) + len(self.summary.text.encode())
        )

    @property
    def head(self) -> int:
        """The number of messages at the start that are standing instructions: 1, or 0."""
        return int(bool(self.messages) and self.messages[0]["role"] == "system")

    def open_tool_calls(self) -> list[ToolCall]:
        """Returns the tool calls that have no result yet, in the order of the model."""
        position, missing = open_calls(self.messages)
        if not missing:
            return []
        return [
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in self.messages[position]["tool_calls"]
            if call["id"] in missing
        ]

    def answer_open_calls(self, text: str) -> int:
        """Gives every tool call that has no result the result `text`; returns how many had none."""
        missing = open_calls(self.messages)[1]
        for call_id in missing:
            self.append({"role": "tool", "tool_call_id": call_id, "content": text})
        return len(missing)

    def find_message(self, *, task_id: str, message_id: str | None = None) -> UserMessage | None:
        """Returns the accepted message of this id, if there was one."""
        if message_id is not None and (message := self._by_message.get(message_id)):
            return message
        return self._by_task.get(task_id)

    def steering_messages(self) -> list[UserMessage]:
        """Returns the waiting messages for the task at work, oldest first."""
        return [message for message in self.waiting if message.mode is ChatMode.STEER]

    def messages_in_turn(self) -> list[UserMessage]:
        """Returns the waiting messages in their order: interrupting, steering, queued."""
        return sorted(self.waiting, key=lambda message: _TURNS[message.mode])

    async def sync(self) -> None:
        """Returns when everything so far is on the disk."""
        await self._journal.sync()

    def close(self) -> None:
        """Closes the file."""
        self._journal.close()

    def _write(self, record: dict[str, Any]) -> None:
        self._journal.append(json.dumps(record, separators=(",", ":")).encode())
        self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        match record:
            case {"accepted": fields}:
                self._add_waiting(UserMessage.model_validate(fields))
            case {"revised": task_id, "text": text}:
                self.waiting = [
                    m.model_copy(update={"text": text}) if m.task_id == task_id else m
                    for m in self.waiting
                ]
            case {"withdrawn": task_id}:
                self._remove_waiting(task_id)
                self.withdrawn.add(task_id)
            case {"restored": fields}:
                self._reset()
                for message in fields["messages"]:
                    self._add(message)
                if "summary" in fields:
                    self.summary = Summary(fields["summary"], fields["upto"])
                self.base_seq, self.restored_digest = fields["last_seq"], fields["digest"]
                for waiting in fields["waiting"]:
                    self._add_waiting(UserMessage.model_validate(waiting))
            case {"summarised": text, "upto": upto}:
                self.summary = Summary(text, upto)
            case {"reasoning_dropped": _}:
                messages, self.messages, self.sizes, self._bytes = self.messages, [], [], 0
                for message in messages:
                    self._add({k: v for k, v in message.items() if k not in _REASONING})
            case _:
                self._add(record["message"])
                if taken := record.get("takes"):
                    self._remove_waiting(taken)

    def _add(self, message: ChatMessage) -> None:
        self.messages.append(message)
        self.sizes.append(size_of(message))
        self._bytes += self.sizes[-1]
        self.call_ids.update(call["id"] for call in message.get("tool_calls") or ())

    def _bytes_before(self, position: int) -> int:
        return sum(self.sizes[:position])

    def _reset(self) -> None:
        self.messages = []
        self.sizes = []
        self.summary = None
        self.call_ids = set()
        self._bytes = 0
        self.waiting = []
        self.withdrawn = set()
        self.last_accepted = None
        self.base_seq = 0
        self.restored_digest = None
        self._by_task = {}
        self._by_message = {}

    def _add_waiting(self, message: UserMessage) -> None:
        self.waiting.append(message)
        self.last_accepted = message
        self._by_task[message.task_id] = message
        if message.message_id is not None:
            self._by_message[message.message_id] = message

    def _remove_waiting(self, task_id: str) -> None:
        self.waiting = [message for message in self.waiting if message.task_id != task_id]


def open_calls(messages: Sequence[ChatMessage]) -> tuple[int, list[str]]:
    """Returns the calls without a result, behind the position of the message that makes them.

    Without such calls the position is the end. Only the newest message with calls can have some.
    """
    answered: set[str] = set()
    for position in range(len(messages) - 1, -1, -1):
        message = messages[position]
        if message["role"] == "tool":
            answered.add(message["tool_call_id"])
        elif calls := message.get("tool_calls"):
            missing = [call["id"] for call in calls if call["id"] not in answered]
            return (position if missing else len(messages)), missing
    return len(messages), []
