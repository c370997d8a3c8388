"""Reads the messages of a request as tasks, calls and results, for the scenarios."""

import json
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

NOTE_PREFIX = "[Note from the system]"
INTERRUPTED = "interrupted this call"


@dataclass(frozen=True, slots=True)
class ScriptedCall:
    """A tool call that a turn makes."""

    name: str
    arguments: Json


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """One answer of the model. With calls the finish reason is `tool_calls`."""

    text: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    finish: str = ""
    reasoning: str = ""

    @property
    def finish_reason(self) -> str:
        return self.finish or ("tool_calls" if self.calls else "stop")


@dataclass(frozen=True, slots=True)
class Result:
    """A finished tool call; `text` is the whole answer of the tool."""

    name: str
    arguments: Json
    text: str


@dataclass(frozen=True, slots=True)
class ScriptedTask:
    """One request: its text, the messages that steered it, and its tool calls so far.

    `notes` are messages that the agent's own program wrote in a person's place.
    """

    text: str
    steering: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    turns: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def results_of(self, name: str) -> list[Result]:
        return [result for result in self.results if result.name == name]


@dataclass(frozen=True, slots=True)
class ParsedConversation:
    """The messages as tasks, oldest first. A request without a user message has one empty task."""

    messages: list[Json]
    tools: frozenset[str]
    tasks: list[ScriptedTask]

    @property
    def task(self) -> ScriptedTask:
        return self.tasks[-1]

    @property
    def turn(self) -> int:
        """Count the answers of this task so far."""
        return len(self.task.turns)


def read_conversation(messages: list[Json], tools: list[Json]) -> ParsedConversation:
    """Read the messages of a request; unknown roles and odd contents are passed over."""
    tasks: list[ScriptedTask] = []
    calls: dict[str, tuple[str, Json]] = {}
    ended = True
    for message in messages:
        text = content_text(message.get("content"))
        match message.get("role"):
            case "user" if tasks and text.startswith(NOTE_PREFIX):
                tasks[-1].notes.append(text)
            case "user" if ended:
                tasks.append(ScriptedTask(text))
                ended = False
            case "user":
                tasks[-1].steering.append(text)
            case "assistant" if tasks:
                tasks[-1].turns.append(text)
                calls_made = _calls(message)
                calls |= calls_made
                ended = not calls_made
            case "tool" if tasks:
                name, arguments = calls.get(message.get("tool_call_id", ""), ("", {}))
                tasks[-1].results.append(Result(name, arguments, text))
                ended = ended or INTERRUPTED in text
            case _:
                continue
    names = frozenset(tool.get("function", {}).get("name", "") for tool in tools)
    return ParsedConversation(messages, names, tasks or [ScriptedTask("")])


def content_text(content: object) -> str:
    """The text of a message's content, which may be a string, parts or nothing."""
    if isinstance(content, list):
        parts = [part.get("text", "") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _calls(message: Json) -> dict[str, tuple[str, Json]]:
    calls_made: dict[str, tuple[str, Json]] = {}
    for call in message.get("tool_calls") or []:
        function = call.get("function", {})
        try:
            arguments = json.loads(function.get("arguments") or "{}")
        except ValueError:
            arguments = {}
        calls_made[call.get("id", "")] = (function.get("name", ""), arguments)
    return calls_made
