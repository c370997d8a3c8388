"""The conversation with the model and the messages that wait to join it, kept on disk.

Both lie in one file, so that a message leaves the queue and enters the conversation in one write.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bridge.journal import Journal
from bridge.protocol import ChatMode, Disposition

ChatMessage = Mapping[str, Any]  # one message as the chat-completions API wants it


class PersonMessage(BaseModel):
    """A message of a person, accepted: it becomes a task, or joins the one at work."""

    model_config = ConfigDict(frozen=True)
    task_id: str
    message_id: str | None = None
    text: str
    mode: ChatMode
    model: str
    max_steps: int
    author: str = ""
    disposition: Disposition = Disposition.STARTED


class Conversation:
    """What the model has been told and has said. Every tool call in it has a result, or is about
    to get one."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self.messages: list[ChatMessage] = []
        self.waiting: list[PersonMessage] = []
        self.last_accepted: PersonMessage | None = None
        self._by_task: dict[str, PersonMessage] = {}
        self._by_message: dict[str, PersonMessage] = {}
        position = 0
        while lines := self._journal.read(position):
            for line in lines:
                self._apply(json.loads(line))
            position += len(lines)

    def accept(self, message: PersonMessage) -> None:
        """Let the message wait; call `sync` before promising so."""
        self._write({"accepted": message.model_dump(mode="json")})

    def take(self, message: PersonMessage) -> None:
        """The message stops waiting and becomes part of the conversation."""
        said = {"role": "user", "content": message.text}
        self._write({"message": said, "takes": message.task_id})

    def append(self, message: ChatMessage) -> None:
        """Add what the model, a tool or the bridge says."""
        self._write({"message": message})

    def answer_open_calls(self, text: str) -> int:
        """Give every tool call that has no result the result `text`; returns how many had none."""
        missing = self._open_calls()
        for call_id in missing:
            self.append({"role": "tool", "tool_call_id": call_id, "content": text})
        return len(missing)

    def find(self, *, task_id: str, message_id: str | None = None) -> PersonMessage | None:
        """The accepted message of this id, if there was one."""
        if message_id is not None and (found := self._by_message.get(message_id)):
            return found
        return self._by_task.get(task_id)

    def steering(self) -> list[PersonMessage]:
        """The waiting messages that the task at work takes up, oldest first."""
        return [message for message in self.waiting if message.mode is ChatMode.STEER]

    def in_turn(self) -> list[PersonMessage]:
        """Whose turn comes when: a message that came too late to steer goes before the queue."""
        return sorted(self.waiting, key=lambda message: message.mode is not ChatMode.STEER)

    async def sync(self) -> None:
        """Return when everything so far is on the disk."""
        await self._journal.sync()

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def _write(self, record: dict[str, Any]) -> None:
        self._journal.append(json.dumps(record, separators=(",", ":")).encode())
        self._apply(record)

    def _apply(self, record: dict[str, Any]) -> None:
        if "accepted" in record:
            message = PersonMessage.model_validate(record["accepted"])
            self.waiting.append(message)
            self.last_accepted = message
            self._by_task[message.task_id] = message
            if message.message_id is not None:
                self._by_message[message.message_id] = message
            return
        self.messages.append(record["message"])
        if taken := record.get("takes"):
            self.waiting = [message for message in self.waiting if message.task_id != taken]

    def _open_calls(self) -> list[str]:
        answered: set[str] = set()
        for message in reversed(self.messages):
            if message["role"] == "tool":
                answered.add(message["tool_call_id"])
            elif calls := message.get("tool_calls"):
                return [call["id"] for call in calls if call["id"] not in answered]
        return []
