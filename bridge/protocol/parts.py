"""Describes what lies inside events and answers: plans, kinds, checks, evidence, changed files."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bridge.protocol.limits import Count, ExitCode, FilePath, Seconds, Tally

MAX_PLAN_ITEMS = 20
MAX_OPTIONS = 5
MAX_CHECKS = 20
MAX_QUESTION_CHARS = 2_000
MAX_COMMAND_CHARS = 2_000
MAX_OPTION_CHARS = 75

Option = Annotated[str, Field(min_length=1, max_length=MAX_OPTION_CHARS)]


class Part(BaseModel):
    """Base of what lies inside events; a reader passes over what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class PlanStatus(StrEnum):
    """The progress of one part of a plan."""

    TODO = "todo"
    DOING = "doing"
    DONE = "done"


class PlanItem(Part):
    """One part of the model's plan."""

    text: str = Field(min_length=1, max_length=200)
    status: PlanStatus = PlanStatus.TODO


class QuestionKind(StrEnum):
    """A question asks for an opinion, or for approval of a command."""

    QUESTION = "question"
    APPROVAL = "approval"


class ApprovalChoice(StrEnum):
    """The answers to an approval."""

    ONCE = "approve_once"
    AGENT = "approve_agent"
    REFUSE = "refuse"


class CheckKind(StrEnum):
    """The kinds of checks that a recognised command can be."""

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
    exit_code: ExitCode | None
    duration_seconds: Seconds
    passed: Tally | None = None
    failed: Tally | None = None


class Check(CheckRun):
    """A check of a task's evidence. `stale`: files changed after it ran; None: unknown."""

    stale: bool | None = None


class Evidence(Part):
    """The bridge's own record of a task, independent of what the model claims.

    `checks` holds the newest run of each command, oldest first. `changed`: the task changed files;
    None: unknown.
    """

    checks: tuple[Check, ...] = Field(default=(), max_length=MAX_CHECKS)
    changed: bool | None = None


class FileChange(Part):
    """One file against the source branch. Counts are lines; both are 0 for a binary file."""

    path: FilePath
    status: Literal["added", "modified", "deleted", "renamed", "untracked"]
    added: Count = 0
    removed: Count = 0
