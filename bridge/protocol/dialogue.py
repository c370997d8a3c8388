"""Between an agent and its people: plan, questions, leave, pauses, recorded checks, undoing."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bridge.protocol.base import Event
from bridge.protocol.limits import MAX_TASK_CHARS, Identifier

MAX_PLAN_ITEMS = 20
MAX_OPTIONS = 5
MAX_CHECKS = 20
MAX_QUESTION_CHARS = 2_000
MAX_COMMAND_CHARS = 2_000
MAX_OPTION_CHARS = 75

Option = Annotated[str, Field(min_length=1, max_length=MAX_OPTION_CHARS)]


class Part(BaseModel):
    """Base of what lies inside events; a reader passes over what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PlanStatus(StrEnum):
    """How far one part of a plan is."""

    TODO = "todo"
    DOING = "doing"
    DONE = "done"


class PlanItem(Part):
    """One part of the model's plan."""

    text: str = Field(min_length=1, max_length=200)
    status: PlanStatus = PlanStatus.TODO


class PlanUpdated(Event):
    """The model's plan for the task, whole; it replaces the one before."""

    type: Literal["plan_updated"] = "plan_updated"
    items: tuple[PlanItem, ...] = Field(max_length=MAX_PLAN_ITEMS)


class QuestionKind(StrEnum):
    """What is asked: an opinion, or leave to run a command."""

    QUESTION = "question"
    APPROVAL = "approval"


class ApprovalChoice(StrEnum):
    """The answers to an approval."""

    ONCE = "approve_once"
    AGENT = "approve_agent"
    REFUSE = "refuse"


class QuestionAsked(Event):
    """The task waits for a person, for as long as it takes.

    Of a question, `text` is what is asked and `options` what may be clicked. Of an approval, `text`
    is the command as one line, and `fingerprint` stands for exactly these arguments in exactly
    `working_directory`.
    """

    type: Literal["question_asked"] = "question_asked"
    question_id: Identifier
    call_id: str = Field(max_length=200)
    kind: QuestionKind
    text: str = Field(max_length=MAX_QUESTION_CHARS)
    options: tuple[Option, ...] = Field(default=(), max_length=MAX_OPTIONS)
    step: int = 0
    fingerprint: str = Field(default="", max_length=64)
    working_directory: str = Field(default="", max_length=1_000)
    reason: str = Field(default="", max_length=1_000)


class QuestionAnswered(Event):
    """A person answered, and the task goes on.

    `message_id` is set when it was an ordinary message: the next model call contains it, and a
    command that needed leave is not run.
    """

    type: Literal["question_answered"] = "question_answered"
    question_id: Identifier
    kind: QuestionKind
    answer: str = Field(default="", max_length=MAX_TASK_CHARS)
    author: str = Field(default="", max_length=1_000)
    fingerprint: str = Field(default="", max_length=64)
    message_id: str | None = Field(default=None, max_length=64)


class TaskPaused(Event):
    """The task waits before its next model call until a person lets it go on."""

    type: Literal["task_paused"] = "task_paused"
    step: int


class TaskResumed(Event):
    """A paused task goes on."""

    type: Literal["task_resumed"] = "task_resumed"


class CheckKind(StrEnum):
    """What a recognised command checks."""

    TESTS = "tests"
    LINT = "lint"
    TYPES = "types"
    BUILD = "build"
    CHECKS = "checks"  # whatever the project calls so: tests may be among it


class CheckRun(Part):
    """A command that checks the work, as it ran. `exit_code` is None when its time ran out.

    Counts are there only where the program's own words say them beyond doubt.
    """

    command: str = Field(max_length=MAX_COMMAND_CHARS)
    working_directory: str = Field(default=".", max_length=1_000)
    kind: CheckKind
    exit_code: int | None
    duration_seconds: float
    passed: int | None = None
    failed: int | None = None


class CheckRecorded(Event):
    """The bridge saw a check end. `tree` is git's name of the files as they were right after it."""

    type: Literal["check_recorded"] = "check_recorded"
    check: CheckRun
    tree: str = Field(default="", max_length=64)


class Check(CheckRun):
    """A check of a task's evidence. `stale`: files changed after it ran; None: unknown."""

    stale: bool | None = None


class Evidence(Part):
    """What the bridge recorded about a task, whatever the model says of it.

    `checks` holds the newest run of each command, oldest first. `changed`: the task changed files;
    None: unknown.
    """

    checks: tuple[Check, ...] = Field(default=(), max_length=MAX_CHECKS)
    changed: bool | None = None


class TaskUndone(Event):
    """The workspace is as it was before this task; so many files differ from how it left them."""

    type: Literal["task_undone"] = "task_undone"
    undone_task_id: Identifier
    files: int = 0
