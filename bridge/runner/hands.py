"""The bridge's ways to its runner, one method for each errand; and the tools that go through it."""

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from pydantic import SecretStr

from bridge.protocol import Attached, Diff, FileChange, WorkspaceReady, WorkspaceRequest
from bridge.runner.operations import (
    ApplyPatch,
    AskWhetherChanged,
    Attach,
    CallTool,
    Clone,
    CommitAll,
    KeepFiles,
    Operation,
    PutFilesBack,
    ReadAppliedDigest,
    ReadChanges,
    ReadDiff,
    ReadHead,
    ReadKeptTree,
    ReadPatch,
    ReadTree,
    Runner,
    StartOver,
)
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult


class Hands:
    """What the bridge has done in the workspace. Methods raise WorkspaceError."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def clone(
        self,
        request: WorkspaceRequest,
        token: SecretStr | None,
        timeout_seconds: float,
        patch: bytes,
    ) -> WorkspaceReady:
        """Make the checkout with this patch in it, or find the checkout there."""
        errand = Clone(request=request, token=token, timeout_seconds=timeout_seconds)
        done = await self._runner.perform(errand, patch)
        ready: WorkspaceReady = done.value
        return ready

    async def changes(self, base_commit: str) -> tuple[FileChange, ...]:
        """Every file that differs from the base."""
        changes: tuple[FileChange, ...] = await self._value(ReadChanges(base_commit=base_commit))
        return changes

    async def diff(self, base_commit: str, limit_bytes: int) -> Diff:
        """The changes for people to read."""
        errand = ReadDiff(base_commit=base_commit, limit_bytes=limit_bytes)
        diff: Diff = await self._value(errand)
        return diff

    async def patch(self, base_commit: str) -> bytes:
        """The changes as `git apply` takes them."""
        return (await self._runner.perform(ReadPatch(base_commit=base_commit))).data

    async def head(self) -> str | None:
        """The commit that HEAD stands for."""
        return await self._value(ReadHead()) or None

    async def commit_all(self, message: str) -> None:
        """Make what is not committed yet one commit, if there is any."""
        await self._runner.perform(CommitAll(message=message))

    async def keep(self, task_id: str) -> None:
        """Keep the files as they are before this task."""
        await self._value(KeepFiles(task_id=task_id))

    async def tree(self, base_commit: str) -> str:
        """Git's name of the files as they are."""
        tree: str = await self._value(ReadTree(base_commit=base_commit))
        return tree

    async def kept_tree(self, task_id: str) -> str:
        """The same for what was kept before a task; empty when nothing was."""
        tree: str = await self._value(ReadKeptTree(task_id=task_id))
        return tree

    async def put_back(self, task_id: str) -> int:
        """Make the files what they were before this task; how many of them differ by it."""
        files: int = await self._value(PutFilesBack(task_id=task_id))
        return files

    async def applied_digest(self) -> str:
        """The digest of the patch that was put into the checkout; empty when there was none."""
        digest: str = await self._value(ReadAppliedDigest())
        return digest

    async def is_changed(self) -> bool:
        """Whether the checkout differs from its commit."""
        return bool(await self._value(AskWhetherChanged()))

    async def apply(self, data: bytes) -> None:
        """Apply a patch and note its digest."""
        await self._runner.perform(ApplyPatch(), data)

    async def start_over(self) -> None:
        """Put the checkout back to its commit."""
        await self._runner.perform(StartOver())

    async def attach(self, name: str, data: bytes) -> Attached:
        """Put a file that a person attached beside the others."""
        attached: Attached = (await self._runner.perform(Attach(name=name), data)).value
        return attached

    async def _value(self, errand: Operation) -> Any:  # noqa: ANN401  (of the shape it names)
        return (await self._runner.perform(errand)).value


def through(runner: Runner, tools: Iterable[Tool[Any]]) -> tuple[Tool[Any], ...]:
    """The same tools for the model, run by the runner."""
    return tuple(_through(runner, tool) for tool in tools)


def _through(runner: Runner, tool: Tool[Any]) -> Tool[Any]:
    async def run(context: ToolContext, arguments: Arguments) -> ToolResult:
        errand = CallTool(
            name=tool.name,
            # Not as pydantic writes it: what a model says may hold halves of characters.
            arguments=json.dumps(arguments.model_dump()),
            base_commit=context.base_commit,
            command_timeout_seconds=context.command_timeout_seconds,
            command_allow=tuple(sorted(context.command_allow)),
            variables=dict(context.variables),
            permitted=context.permitted,
        )
        done = await runner.perform(errand, on_output=context.on_output)
        result: ToolResult = done.value
        return result

    return tool if tool.here else dataclasses.replace(tool, run=run)
