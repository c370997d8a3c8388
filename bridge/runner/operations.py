"""Names every operation on the workspace: one function each, called through a runner.

The decorator makes the request that travels to the runner from a function's parameters, and reads
what comes back by its return type. A parameter or an answer of `bytes` travels beside the JSON.
"""

import asyncio
import dataclasses
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Concatenate,
    Generic,
    ParamSpec,
    Protocol,
    TypeVar,
    get_type_hints,
)

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    TypeAdapter,
    create_model,
)

from bridge.errors import ToolError
from bridge.process.background import Processes
from bridge.process.tree import end_all_others
from bridge.protocol import (
    GIT_OPERATION_SECONDS,
    Attached,
    Diff,
    FileChange,
    WorkspaceReady,
    WorkspaceRequest,
)
from bridge.text import clean
from bridge.tools import default_tools
from bridge.tools.base import ToolContext, ToolResult
from bridge.workspace import attachments, clone, diff, patch, snapshots
from bridge.workspace.filesystem import Workspace

_TOOL_SECONDS = 660.0  # the longest command, and some time to end it
_CLONE_SECONDS = 3 * 3_600.0  # the clone has its own, of the settings
_TOOLS = {tool.name: tool for tool in default_tools()}

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


def ignore_output(_text: str) -> None:
    """Drops the running output of an operation that nobody watches."""


@dataclasses.dataclass(frozen=True, slots=True)
class Site:
    """What an operation works on. `home` is where commands keep things."""

    workspace: Workspace
    home: Path
    processes: Processes
    on_output: Callable[[str], None] = ignore_output


class Runner(Protocol):
    """Performs operations. Raises ToolError or WorkspaceError, as the operation itself would."""

    async def perform(self, call: "Call[R]", on_output: Callable[[str], None] = ignore_output) -> R:
        """Performs it to its end; when cancelled, nothing of it runs on."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Call(Generic[R_co]):
    """One use of an operation: the request that travels as JSON, and the bytes beside it."""

    operation: "Operation[..., R_co]"
    request: BaseModel
    data: bytes = b""


class Operation(Generic[P, R_co]):
    """A function on a site that a runner performs.

    After `seconds` its runner is given up. `is_tool`: the model reads its errors.
    """

    def __init__(
        self,
        function: Callable[Concatenate[Site, P], Awaitable[R_co]],
        *,
        seconds: float,
        is_tool: bool,
    ) -> None:
        self.name = function.__name__
        self.seconds = seconds
        self.is_tool = is_tool
        hints = get_type_hints(function, include_extras=True)
        self._function: Callable[..., Awaitable[R_co]] = function
        self._signature = inspect.signature(function)
        _, *parameters = self._signature.parameters.values()
        self._data_name = next((p.name for p in parameters if hints[p.name] is bytes), None)
        fields: dict[str, Any] = {
            p.name: (hints[p.name], ... if p.default is p.empty else p.default)
            for p in parameters
            if p.name != self._data_name
        }
        config = ConfigDict(frozen=True, extra="forbid")
        self._request: type[BaseModel] = create_model(self.name, __config__=config, **fields)
        self._answers_bytes = hints["return"] is bytes
        self._answer: TypeAdapter[Any] = TypeAdapter(hints["return"])

    async def __call__(self, runner: Runner, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Has a runner perform it."""
        return await runner.perform(self.call(*args, **kwargs))

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[R_co]:
        """Makes the call with these arguments."""
        bound = self._signature.bind(None, *args, **kwargs)
        _, *arguments = bound.arguments.items()
        values = dict(arguments)
        data = values.pop(self._data_name, b"") if self._data_name else b""
        return Call(self, self._request(**values), data)

    def read_call(self, request: object, data: bytes) -> Call[R_co]:
        """Reads a call that came over a connection. Raises pydantic.ValidationError."""
        return Call(self, self._request.model_validate(request), data)

    async def run(self, site: Site, call: Call[R]) -> R_co:
        """Runs the function here."""
        names = type(call.request).model_fields
        values: dict[str, Any] = {name: getattr(call.request, name) for name in names}
        if self._data_name:
            values[self._data_name] = call.data
        return await self._function(site, **values)

    def dump_answer(self, answer: object) -> tuple[object, bytes]:
        """Writes an answer as JSON and bytes."""
        if isinstance(answer, bytes):
            return None, answer
        return self._answer.dump_python(answer, mode="json"), b""

    def read_answer(self, value: object, data: bytes) -> R_co:
        """Reads an answer that came over a connection. Raises pydantic.ValidationError."""
        answer: R_co = self._answer.validate_python(data if self._answers_bytes else value)
        return answer


OPERATIONS: dict[str, Operation[..., object]] = {}


def operation(
    *, seconds: float = GIT_OPERATION_SECONDS, is_tool: bool = False
) -> Callable[[Callable[Concatenate[Site, P], Awaitable[R]]], Operation[P, R]]:
    """Makes an operation of a function, and enters it into the table."""

    def enter(function: Callable[Concatenate[Site, P], Awaitable[R]]) -> Operation[P, R]:
        made = Operation(function, seconds=seconds, is_tool=is_tool)
        OPERATIONS[made.name] = made
        return made

    return enter


class LocalRunner:
    """Implements Runner in this process, on a workspace of this machine."""

    def __init__(
        self, workspace: Workspace, home: Path, processes: Processes | None = None
    ) -> None:
        self._site = Site(workspace, home, processes or Processes())
        self.processes = self._site.processes
        home.mkdir(parents=True, exist_ok=True)

    async def perform(self, call: Call[R], on_output: Callable[[str], None] = ignore_output) -> R:
        """Performs it to its end; when cancelled, nothing of it runs on."""
        site = dataclasses.replace(self._site, on_output=on_output)
        return await call.operation.run(site, call)


# A refspec is made of it, in which an empty name deletes a branch and a plus sign forces a push.
CommitId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Token = Annotated[
    SecretStr | None,
    PlainSerializer(
        lambda token: None if token is None else token.get_secret_value(), when_used="json"
    ),
]


class ToolRequest(BaseModel):
    """One call of a tool. `arguments` is JSON that the tool's own model takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    arguments: str
    base_commit: str
    command_timeout_seconds: float
    command_allow: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    permitted: bool = False  # a person has allowed exactly this call


@operation(seconds=_TOOL_SECONDS, is_tool=True)
async def call_tool(site: Site, request: ToolRequest) -> ToolResult:
    """Calls a tool."""
    tool = _TOOLS.get(request.name)
    if tool is None:
        raise ToolError(f"There is no tool {request.name[:64]!r} here.")
    site.home.mkdir(parents=True, exist_ok=True)  # a command may have removed it
    context = ToolContext(
        workspace=site.workspace,
        base_commit=request.base_commit,
        command_timeout_seconds=request.command_timeout_seconds,
        command_allow=frozenset(request.command_allow),
        home=site.home,
        on_output=site.on_output,
        variables=request.variables,
        permitted=request.permitted,
        processes=site.processes,
    )
    try:
        return _clean_result(await tool.run(context, tool.parse(request.arguments)))
    finally:
        await site.processes.tidy()


def _clean_result(result: ToolResult) -> ToolResult:
    """Replaces half characters in a result, which no JSON reader takes."""
    return dataclasses.replace(
        result,
        text=clean(result.text),
        summary=clean(result.summary),
        files_touched=tuple(clean(path) for path in result.files_touched),
    )


@operation(seconds=_CLONE_SECONDS)
async def clone_repository(
    site: Site,
    request: WorkspaceRequest,
    token: Token,
    timeout_seconds: float,
    saved_patch: bytes,
) -> WorkspaceReady:
    """Makes the checkout with this patch in it, or returns the checkout that is there."""
    end_all_others()  # while a token is in the environment of git
    return await clone.make_checkout(
        request,
        site.workspace,
        git_token=token,
        timeout_seconds=timeout_seconds,
        saved_patch=saved_patch,
    )


@operation()
async def read_changes(site: Site, base_commit: str) -> tuple[FileChange, ...]:
    """Returns every file that differs from the base."""
    return await diff.read_changes(site.workspace, base_commit)


@operation()
async def read_diff(site: Site, base_commit: str, limit_bytes: int) -> Diff:
    """Returns the changes for people to read."""
    return await diff.read_diff(site.workspace, base_commit, limit_bytes)


@operation()
async def read_patch(site: Site, base_commit: str) -> bytes:
    """Returns the changes as `git apply` takes them."""
    return await diff.read_patch(site.workspace, base_commit)


@operation()
async def read_head(site: Site) -> CommitId | None:
    """Returns the commit that HEAD stands for."""
    return await clone.find_commit(site.workspace, "HEAD")


@operation()
async def commit_all(site: Site, message: str) -> None:
    """Commits what is not committed yet, if there is any."""
    await clone.commit_all(site.workspace, message)


@operation()
async def read_applied_digest(site: Site) -> str:
    """Returns the digest of the patch that was put into the checkout; empty: there was none."""
    return await patch.applied_digest(site.workspace)


@operation()
async def is_changed(site: Site) -> bool:
    """Tells whether the checkout differs from its commit."""
    return await patch.is_changed(site.workspace)


@operation()
async def apply_patch(site: Site, data: bytes) -> None:
    """Applies a patch to the checkout, and notes its digest."""
    await patch.apply_patch(site.workspace, data)


@operation()
async def reset_checkout(site: Site) -> None:
    """Puts the checkout back to its commit."""
    await patch.reset_checkout(site.workspace)


@operation()
async def take_snapshot(site: Site, task_id: str) -> None:
    """Stores the files as they are before this task."""
    await snapshots.take_snapshot(site.workspace, task_id)


@operation()
async def read_tree(site: Site, base_commit: str) -> str:
    """Returns git's name of the files as they are."""
    return await snapshots.tree_of(site.workspace, base_commit)


@operation()
async def read_snapshot_tree(site: Site, task_id: str) -> str:
    """Returns git's name of the files before a task; empty when no snapshot was taken."""
    snapshot = await snapshots.read_snapshot(site.workspace, task_id)
    return snapshot.tree if snapshot else ""


@operation()
async def restore_snapshot(site: Site, task_id: str) -> int:
    """Makes the files what they were before this task; returns how many of them differ by it."""
    return await snapshots.restore_snapshot(site.workspace, task_id)


@operation()
async def attach_file(site: Site, name: str, data: bytes) -> Attached:
    """Puts a file that a person attached beside the others."""
    return await asyncio.to_thread(attachments.put_file, site.workspace, name, data)
