"""Makes the workspace and whatever a task works with in it: a clone, a patch, tools, an undo."""

import asyncio
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bridge.agent.prompts import UNDONE_NOTE, RepositoryFacts, system_prompt
from bridge.agent.task_runner import TaskRunner
from bridge.config import BridgeSettings
from bridge.errors import BridgeError, WorkspaceError
from bridge.process.background import Processes
from bridge.protocol import (
    MAX_CHANGED_FILES,
    Check,
    CheckRecorded,
    CheckRun,
    ErrorCode,
    Evidence,
    FileChange,
    FilesChanged,
    TaskUndone,
    WorkspaceCloning,
    WorkspaceReady,
    WorkspaceReadyEvent,
    WorkspaceRequest,
)
from bridge.runner import operations
from bridge.runner.operations import LocalRunner, Runner
from bridge.runner.saved_patch import SavedPatch
from bridge.state.conversation import Conversation, UserMessage
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection
from bridge.tools.base import Tool, ToolContext
from bridge.workspace.filesystem import Workspace

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 60.0


class Workbench:
    """Owns one workspace with its tools, and records what tasks do to its files.

    Without a runner the work is done in this process.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        tools: Sequence[Tool[Any]],
        runner: Runner | None,
        conversation: Conversation,
        events: EventLog,
        projection: Projection,
    ) -> None:
        self.workspace = Workspace(settings.workspace_dir)
        self.variables: dict[str, str] = {}  # for commands, from the next one on
        self._settings = settings
        self._tools = tools
        self._home = Path(tempfile.gettempdir()) / "threadsmith-home"
        self._processes = Processes()  # those of a runner are its own
        self.runner: Runner = runner or LocalRunner(self.workspace, self._home, self._processes)
        self._conversation = conversation
        self._events = events
        self._projection = projection
        self._files_shown: tuple[FileChange, ...] = ()

    def ready_workspace(self) -> WorkspaceReadyEvent:
        """Returns the workspace as it was made; raises WorkspaceError when there is none yet."""
        if self._projection.workspace is None:
            raise WorkspaceError(
                ErrorCode.WORKSPACE_MISSING, "There is no workspace yet; prepare one first."
            )
        return self._projection.workspace

    def write_instructions(self, max_steps: int) -> None:
        """Begins the conversation with the standing instructions, if nothing is in it."""
        if self._conversation.messages:
            return
        ready = self.ready_workspace()
        repository = RepositoryFacts(
            repository=ready.repository,
            source_branch=ready.source_branch,
            target_branch=ready.target_branch,
            root=self.workspace.root,
        )
        guide = [(tool.name, tool.description) for tool in self._tools]
        prompt = system_prompt(repository, guide, max_steps)
        self._conversation.append({"role": "system", "content": prompt})

    def tool_context(self, message: UserMessage) -> ToolContext:
        """Returns the context for the tools of this message's task."""
        return ToolContext(
            workspace=self.workspace,
            base_commit=self.ready_workspace().base_commit,
            command_timeout_seconds=self._settings.command_timeout_seconds,
            command_allow=frozenset(self._settings.command_allow),
            home=self._home,
            variables=self.variables,
            processes=self._processes,
            approvals=message.approvals,
            approved=frozenset(self._projection.approved),
            answer=self._projection.answer,
            person_waits=lambda: bool(self._conversation.steering_messages()),
        )

    async def show_changes(self, task_id: str) -> None:
        """Records how the workspace differs from the source branch, when that has changed."""
        try:
            files = await self._changes()
        except BridgeError as error:  # the model may have broken its own checkout; it will notice
            _log.warning("the changes could not be read: %s", error.message)
            return
        if files != self._files_shown:
            self._files_shown = files
            await self._events.record(FilesChanged(task_id=task_id, files=files))

    async def save_files(self, task_id: str) -> None:
        """Saves the files as they are before this task; after a failure it cannot be undone."""
        try:
            await operations.take_snapshot(self.runner, task_id)
        except BridgeError as error:
            _log.warning("the files were not kept before the task: %s", error.message)

    async def record_check(self, task_id: str, check: CheckRun) -> None:
        """Records a check, and the tree of the files right after it."""
        tree = await self._tree(_LOOK_SECONDS)
        await self._events.record(CheckRecorded(task_id=task_id, check=check, tree=tree))

    async def read_evidence(self, task_id: str, look_seconds: float) -> Evidence:
        """Returns the recorded evidence of a task that is over."""
        checks = tuple(self._projection.checks.values())
        tree, before = await self._trees(task_id, look_seconds)
        return Evidence(
            checks=tuple(
                Check(**run.check.model_dump(), stale=_differ(tree, run.tree)) for run in checks
            ),
            changed=_differ(tree, before) if self._projection.ran_tools else False,
        )

    async def undo_task(self, task_id: str) -> int:
        """Puts the files back to before this task, the last one; returns how many differ.

        Nobody may work meanwhile. A repeated request gets the same answer and touches nothing: its
        sender may have died before storing the first answer. Raises BridgeError.
        """
        done = self._projection.not_undone
        if task_id in self._projection.undone:
            return self._projection.undone[task_id]
        if task_id not in done:
            raise BridgeError(ErrorCode.NOT_FOUND, "There is no such task here.")
        if done[-1] != task_id:
            raise BridgeError(
                ErrorCode.WORKSPACE_CONFLICT,
                "Another task has worked since. Only the last one can be undone.",
            )
        files = await operations.restore_snapshot(self.runner, task_id)
        self._conversation.append({"role": "user", "content": UNDONE_NOTE})
        await self._conversation.sync()
        await self._events.record(TaskUndone(undone_task_id=task_id, files=files))
        await self._events.record(FilesChanged(files=await self._changes()))
        return files

    async def _changes(self) -> tuple[FileChange, ...]:
        changes = await operations.read_changes(self.runner, self.ready_workspace().base_commit)
        return changes[:MAX_CHANGED_FILES]

    async def _trees(self, task_id: str, seconds: float) -> tuple[str, str]:
        """Returns git's trees of the files now and before the task; "" where they are not known."""
        if not seconds or not self._projection.ran_tools:
            return "", ""
        try:
            async with asyncio.timeout(seconds):
                kept = await operations.read_snapshot_tree(self.runner, task_id)
                return (await self._tree(seconds), kept) if kept else ("", "")
        except (BridgeError, TimeoutError):
            return "", ""

    async def _tree(self, seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds):
                return await operations.read_tree(self.runner, self.ready_workspace().base_commit)
        except (BridgeError, TimeoutError) as error:
            _log.warning("the files could not be looked at: %s", error)
            return ""


class SessionSetup:
    """Clones, patches and undoes: one at a time, and never beside a task. Raises BridgeError."""

    def __init__(
        self,
        settings: BridgeSettings,
        workbench: Workbench,
        events: EventLog,
        projection: Projection,
        task_runner: TaskRunner,
    ) -> None:
        self._settings = settings
        self._workbench = workbench
        self._events = events
        self._projection = projection
        self._task_runner = task_runner
        self._saved_patch = SavedPatch(settings.state_dir, workbench.runner)
        self._at_checkout = asyncio.Lock()

    @property
    def at_work(self) -> bool:
        """Checks whether a clone, a patch or an undo is at work."""
        return self._at_checkout.locked()

    async def finish_patch(self) -> None:
        """Completes a patch that a kill cut short."""
        if self._projection.workspace is not None and self._saved_patch.exists:
            async with self._at_checkout:
                await self._saved_patch.finish()

    async def prepare_workspace(self, request: WorkspaceRequest) -> WorkspaceReady:
        """Clones the repository, or finds its clone already there."""
        async with self._at_checkout:
            is_new = self._projection.workspace is None
            is_patched = self._saved_patch.exists
            if is_new:
                await self._events.record(
                    WorkspaceCloning(
                        repository=request.repository, source_branch=request.source_branch
                    )
                )
            ready = await operations.clone_repository(
                self._workbench.runner,
                request,
                self._settings.git_token,
                self._settings.clone_timeout_seconds,
                await self._saved_patch.read_waiting(),
            )
            if ready.already_there:
                await self._saved_patch.apply()
            self._saved_patch.drop()
            if is_new:
                fields = ready.model_dump(exclude={"already_there"})
                await self._events.record(WorkspaceReadyEvent(**fields))
            self._task_runner.start_task()
            if is_patched:
                await self._show_changes(ready.base_commit)
            return ready

    async def apply_patch(self, patch: bytes) -> None:
        """Puts the changes of an earlier container into the workspace, once.

        Before there is a workspace the patch is kept, and becomes a part of the next one; an empty
        one takes that back. Later it goes into a workspace that no task has worked in.
        """
        async with self._at_checkout:
            ready = self._projection.workspace
            if not patch:
                self._saved_patch.drop()
            elif ready is None:
                await self._saved_patch.store(patch)
            elif not await self._saved_patch.is_applied(patch):
                if self._task_runner.current is not None or self._projection.first_seq:
                    raise WorkspaceError(
                        ErrorCode.WORKSPACE_CONFLICT,
                        "A task has worked in this workspace; a patch goes onto a fresh one only.",
                    )
                with self._task_runner.hold_tasks():
                    await self._saved_patch.apply_now(patch)
                await self._show_changes(ready.base_commit)

    async def undo_task(self, task_id: str) -> int:
        """Puts the files back to before the last task; returns how many of them differ."""
        self._workbench.ready_workspace()
        if self._task_runner.current is not None or self.at_work:
            raise BridgeError(
                ErrorCode.WORKSPACE_CONFLICT, "The agent is at work. Interrupt it first, then undo."
            )
        async with self._at_checkout:
            with self._task_runner.hold_tasks():
                return await self._workbench.undo_task(task_id)

    async def _show_changes(self, base_commit: str) -> None:
        try:
            files = await operations.read_changes(self._workbench.runner, base_commit)
        except WorkspaceError as error:
            _log.warning("the changes could not be read: %s", error.message)
        else:
            await self._events.record(FilesChanged(files=files))


def _differ(tree: str, other: str) -> bool | None:
    return tree != other if tree and other else None
