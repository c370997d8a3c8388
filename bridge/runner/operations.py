"""What a runner is asked to do: one model for each kind of errand, and what comes back.

Everything that touches the workspace is an errand, so that it can be done by another user than the
one who asks. Bytes, such as a patch, travel beside the errand and beside what came of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, field_serializer

from bridge.protocol import (
    GIT_ERRAND_SECONDS,
    Attached,
    Diff,
    FileChange,
    WorkspaceReady,
    WorkspaceRequest,
)
from bridge.tools.base import ToolResult

_TOOL_SECONDS = 660.0  # the longest command, and some time to end it
_NOTHING: TypeAdapter[Any] = TypeAdapter(None)
_TRUTH: TypeAdapter[Any] = TypeAdapter(bool)
_TEXT: TypeAdapter[Any] = TypeAdapter(str)


class _Operation(BaseModel):
    """Base of the errands. `answer` is the shape of what comes back; `seconds` is the longest
    that it may take, after which its runner is given up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    answer: ClassVar[TypeAdapter[Any]] = _NOTHING
    seconds: ClassVar[float] = GIT_ERRAND_SECONDS


class CallTool(_Operation):
    """One call of a tool. `arguments` is JSON that the tool's own model takes."""

    answer = TypeAdapter(ToolResult)
    seconds = _TOOL_SECONDS
    do: Literal["call_tool"] = "call_tool"
    name: str
    arguments: str
    base_commit: str
    command_timeout_seconds: float
    command_allow: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    permitted: bool = False  # a person has allowed exactly this call


class Clone(_Operation):
    """Make the checkout, or find it; the bytes are the patch that belongs into a new one."""

    answer = TypeAdapter(WorkspaceReady)
    seconds = 3 * 3_600.0  # the clone has its own, of the settings
    do: Literal["clone"] = "clone"
    request: WorkspaceRequest
    token: SecretStr | None = None
    timeout_seconds: float

    @field_serializer("token", when_used="json")
    def _plain(self, token: SecretStr | None) -> str | None:
        return None if token is None else token.get_secret_value()


class ReadChanges(_Operation):
    """Every file that differs from the base."""

    answer = TypeAdapter(tuple[FileChange, ...])
    do: Literal["read_changes"] = "read_changes"
    base_commit: str


class ReadDiff(_Operation):
    """The changes for people to read."""

    answer = TypeAdapter(Diff)
    do: Literal["read_diff"] = "read_diff"
    base_commit: str
    limit_bytes: int


class ReadPatch(_Operation):
    """The changes as a patch, which comes back as bytes."""

    do: Literal["read_patch"] = "read_patch"
    base_commit: str


class ReadHead(_Operation):
    """The commit that HEAD stands for; empty when there is none."""

    answer = _TEXT
    do: Literal["read_head"] = "read_head"


class CommitAll(_Operation):
    """Make what is not committed yet one commit, if there is any."""

    do: Literal["commit_all"] = "commit_all"
    message: str


class ReadAppliedDigest(_Operation):
    """The digest of the patch that was put into the checkout; empty when there was none."""

    answer = _TEXT
    do: Literal["read_applied_digest"] = "read_applied_digest"


class AskWhetherChanged(_Operation):
    """Whether the checkout differs from its commit."""

    answer = _TRUTH
    do: Literal["ask_whether_changed"] = "ask_whether_changed"


class ApplyPatch(_Operation):
    """Apply the patch that the bytes are, and note its digest."""

    do: Literal["apply_patch"] = "apply_patch"


class StartOver(_Operation):
    """Put the checkout back to its commit."""

    do: Literal["start_over"] = "start_over"


class KeepFiles(_Operation):
    """Keep the files as they are before this task."""

    do: Literal["keep_files"] = "keep_files"
    task_id: str


class ReadTree(_Operation):
    """Git's name of the files as they are."""

    answer = _TEXT
    do: Literal["read_tree"] = "read_tree"
    base_commit: str


class ReadKeptTree(_Operation):
    """Git's name of the files that were kept before a task; empty when none were."""

    answer = _TEXT
    do: Literal["read_kept_tree"] = "read_kept_tree"
    task_id: str


class PutFilesBack(_Operation):
    """Make the files what they were before this task; how many of them differ by it."""

    answer = TypeAdapter(int)
    do: Literal["put_files_back"] = "put_files_back"
    task_id: str


class Attach(_Operation):
    """Put the bytes into the workspace, as a file that a person attached."""

    answer = TypeAdapter(Attached)
    do: Literal["attach"] = "attach"
    name: str


Operation = Annotated[
    CallTool
    | Clone
    | ReadChanges
    | ReadDiff
    | ReadPatch
    | ReadHead
    | CommitAll
    | ReadAppliedDigest
    | AskWhetherChanged
    | ApplyPatch
    | StartOver
    | KeepFiles
    | ReadTree
    | ReadKeptTree
    | PutFilesBack
    | Attach,
    Field(discriminator="do"),
]
OPERATION: TypeAdapter[Operation] = TypeAdapter(Operation)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an errand: a value of the shape that its class names, and bytes."""

    value: Any = None
    data: bytes = b""


def hear_nothing(_text: str) -> None:
    """For errands whose running output nobody reads."""


class Runner(Protocol):
    """Does errands. Raises ToolError or WorkspaceError, as what it does would itself."""

    async def perform(
        self,
        errand: Operation,
        data: bytes = b"",
        on_output: Callable[[str], None] = hear_nothing,
    ) -> Done:
        """Do it to its end; when cancelled, nothing of it runs on."""
        ...
