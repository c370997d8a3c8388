"""Defines a tool: a value with a name, a pydantic arguments model and one async function."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bridge.errors import ToolError
from bridge.process.background import Processes
from bridge.protocol import (
    Approvals,
    CheckRun,
    PlanItem,
    QuestionAnswered,
    QuestionKind,
)
from bridge.workspace.filesystem import Workspace


class Arguments(BaseModel):
    """Base of the arguments models: a field the tool does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool call. `text` goes to the model whole; `summary` is for people.

    `files_touched` are paths relative to the workspace. `check` is set by a command that checks
    the work, `plan` by the tool that states one.
    """

    text: str
    summary: str
    ok: bool = True
    exit_code: int | None = None
    files_touched: tuple[str, ...] = ()
    check: CheckRun | None = None
    plan: tuple[PlanItem, ...] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A tool's question to a person; the fields are those of the event."""

    kind: QuestionKind
    text: str
    options: tuple[str, ...] = ()
    fingerprint: str = ""
    working_directory: str = ""
    reason: str = ""


class PersonNeeded(Exception):
    """The call cannot go on without a person. It is run again, with the answer in its context."""

    def __init__(self, question: Question) -> None:
        super().__init__(question.text)
        self.question = question


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Gives a tool what it may use: the checkout, its base, limits, a listener of its output.

    `variables` are for commands, besides the fixed ones; `processes` are those declared so far.
    `approved` are the fingerprints of commands that may run; `answer` is what a person said to
    this very call. `person_waits`: a person has written what the model has not read yet.
    `permitted`: a person has allowed this very call.
    """

    workspace: Workspace
    base_commit: str
    command_timeout_seconds: float
    command_allow: frozenset[str]
    home: Path
    on_output: Callable[[str], None] = lambda _text: None
    variables: Mapping[str, str] = field(default_factory=dict)
    processes: Processes = field(default_factory=Processes)
    approvals: Approvals = Approvals.REFUSE
    approved: frozenset[str] = frozenset()
    answer: QuestionAnswered | None = None
    person_waits: Callable[[], bool] = lambda: False
    permitted: bool = False

    def ask(self, question: Question) -> NoReturn:
        """Raises PersonNeeded; or ToolError, when a person has just written."""
        if self.person_waits():
            raise ToolError(
                "Not asked: a person has just written, and their message follows. Read it first; "
                "call this again if it is still needed."
            )
        raise PersonNeeded(question)


_PROBLEMS_NAMED = 10

A = TypeVar("A", bound=Arguments)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """One tool. `target` names what a call is about (a file, a pattern), for display.

    `run` raises ToolError for everything that the model should read and act on. `asks` says before
    it whether a person has allowed the call, and may raise PersonNeeded. `here`: it touches no
    workspace, and runs in the bridge.
    """

    name: str
    description: str
    arguments: type[A]
    run: Callable[[ToolContext, A], Awaitable[ToolResult]]
    target: Callable[[A], str]
    asks: Callable[[ToolContext, A], bool] | None = None
    here: bool = False

    def schema(self) -> dict[str, Any]:
        """Returns the tool as the chat-completions API wants it."""
        parameters = self.arguments.model_json_schema()
        parameters.pop("title", None)
        parameters.pop("description", None)
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": parameters,
            },
        }

    def parse(self, text: str) -> A:
        """Reads the arguments that the model wrote; raises ToolError saying what to mend."""
        try:
            return self.arguments.model_validate(json.loads(text or "{}"))
        except (json.JSONDecodeError, RecursionError) as error:
            raise ToolError(
                f"The arguments are not valid JSON ({error}). Send them again."
            ) from error
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, item['loc']))[:100] or 'arguments'}: {item['msg']}"
                for item in error.errors(include_url=False, include_input=False)[:_PROBLEMS_NAMED]
            )
            readable = problems.encode(errors="replace").decode()
            raise ToolError(f"The arguments do not fit {self.name}: {readable}") from error
        except ValueError as error:
            raise ToolError(f"The arguments cannot be read: {error}.") from error
