"""Does errands in this process: the runner's own, or the bridge's where there is no launcher."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, assert_never

from bridge.errors import ToolError
from bridge.process.background import Processes
from bridge.process.tree import end_all_others
from bridge.runner.operations import (
    ApplyPatch,
    AskWhetherChanged,
    Attach,
    CallTool,
    Clone,
    CommitAll,
    Done,
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
    StartOver,
    hear_nothing,
)
from bridge.tools import default_tools
from bridge.tools.base import Tool, ToolContext
from bridge.workspace import attachments, clone, snapshots
from bridge.workspace.branches import commit, commit_all
from bridge.workspace.filesystem import Workspace
from bridge.workspace.patch import applied_digest, apply_patch, is_changed, start_over


class LocalRunner:
    """Implements Runner on a workspace of this machine. `home` is where commands keep things."""

    def __init__(
        self, workspace: Workspace, home: Path, processes: Processes | None = None
    ) -> None:
        self._workspace = workspace
        self._home = home
        self.processes = processes or Processes()
        home.mkdir(parents=True, exist_ok=True)
        self._tools: dict[str, Tool[Any]] = {tool.name: tool for tool in default_tools()}

    async def perform(
        self,
        errand: Operation,
        data: bytes = b"",
        on_output: Callable[[str], None] = hear_nothing,
    ) -> Done:
        """Do it to its end; when cancelled, nothing of it runs on."""
        match errand:
            case CallTool():
                return await self._call(errand, on_output)
            case Clone():
                return Done(await self._clone(errand, data))
            case ReadChanges():
                return Done(await clone.changes(self._workspace, errand.base_commit))
            case ReadDiff():
                base, limit = errand.base_commit, errand.limit_bytes
                return Done(await clone.diff(self._workspace, base, limit))
            case ReadPatch():
                return Done(data=await clone.patch(self._workspace, errand.base_commit))
            case KeepFiles() | ReadTree() | ReadKeptTree() | PutFilesBack():
                return Done(await self._keep_or_put_back(errand))
            case Attach():
                put = attachments.put
                return Done(await asyncio.to_thread(put, self._workspace, errand.name, data))
            case _:
                return Done(await self._look_or_mend(errand, data))

    async def _look_or_mend(
        self,
        errand: ReadHead
        | CommitAll
        | ReadAppliedDigest
        | AskWhetherChanged
        | ApplyPatch
        | StartOver,
        data: bytes,
    ) -> object:
        match errand:
            case ReadHead():
                return await commit(self._workspace, "HEAD") or ""
            case CommitAll():
                await commit_all(self._workspace, errand.message)
            case ReadAppliedDigest():
                return await applied_digest(self._workspace)
            case AskWhetherChanged():
                return await is_changed(self._workspace)
            case ApplyPatch():
                await apply_patch(self._workspace, data)
            case StartOver():
                await start_over(self._workspace)
            case _:
                assert_never(errand)
        return None

    async def _keep_or_put_back(
        self, errand: KeepFiles | ReadTree | ReadKeptTree | PutFilesBack
    ) -> object:
        match errand:
            case KeepFiles():
                await snapshots.keep(self._workspace, errand.task_id)
            case ReadTree():
                return await snapshots.tree_of(self._workspace, errand.base_commit)
            case ReadKeptTree():
                found = await snapshots.kept(self._workspace, errand.task_id)
                return found.tree if found else ""
            case PutFilesBack():
                return await snapshots.put_back(self._workspace, errand.task_id)
            case _:
                assert_never(errand)
        return None

    async def _call(self, errand: CallTool, on_output: Callable[[str], None]) -> Done:
        tool = self._tools.get(errand.name)
        if tool is None:
            raise ToolError(f"There is no tool {errand.name[:64]!r} here.")
        self._home.mkdir(parents=True, exist_ok=True)  # a command may have removed it
        context = ToolContext(
            workspace=self._workspace,
            base_commit=errand.base_commit,
            command_timeout_seconds=errand.command_timeout_seconds,
            command_allow=frozenset(errand.command_allow),
            home=self._home,
            on_output=on_output,
            variables=errand.variables,
            permitted=errand.permitted,
            processes=self.processes,
        )
        try:
            return Done(await tool.run(context, tool.parse(errand.arguments)))
        finally:
            await self.processes.tidy()

    async def _clone(self, errand: Clone, patch: bytes) -> object:
        end_all_others()  # while a token is in the environment of git
        return await clone.clone(
            errand.request,
            self._workspace,
            git_token=errand.token,
            timeout_seconds=errand.timeout_seconds,
            saved_patch=patch,
        )
