"""What a task finds in the workspace, and what is recorded about it beside its events."""

import asyncio
import dataclasses
import logging

from bridge.agent.equipment import Equipment
from bridge.agent.prompts import UNDONE_NOTE
from bridge.errors import BridgeError, WorkspaceError
from bridge.protocol import (
    Check,
    CheckRecorded,
    CheckRun,
    ErrorCode,
    Evidence,
    FileChange,
    FilesChanged,
    TaskUndone,
    WorkspaceReadyEvent,
)
from bridge.runner import operations
from bridge.state.conversation import Conversation, UserMessage
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection
from bridge.tools.base import ToolContext

_log = logging.getLogger(__name__)
_LOOK_SECONDS = 60.0
_MAX_FILES_SHOWN = 5_000


class Workbench:
    """One workspace with its tools. It knows git's names of what the files were, and when."""

    def __init__(
        self,
        equipment: Equipment,
        conversation: Conversation,
        events: EventLog,
        ledger: Projection,
    ) -> None:
        self.workspace = equipment.workspace
        self.runner = equipment.runner
        self._equipment = equipment
        self._conversation = conversation
        self._events = events
        self._ledger = ledger
        self._files_shown: tuple[FileChange, ...] = ()

    def ready(self) -> WorkspaceReadyEvent:
        """The workspace as it was made; raises WorkspaceError when there is none yet."""
        if self._ledger.workspace is None:
            raise WorkspaceError(
                ErrorCode.WORKSPACE_MISSING, "There is no workspace yet; prepare one first."
            )
        return self._ledger.workspace

    def instruct(self, max_steps: int) -> None:
        """Begin the conversation with the standing instructions, if nothing is in it."""
        if self._conversation.messages:
            return
        prompt = self._equipment.instructions(self.ready(), max_steps)
        self._conversation.append({"role": "system", "content": prompt})

    def context(self, message: UserMessage) -> ToolContext:
        """What the tools of this message's task may use."""
        return dataclasses.replace(
            self._equipment.context(self.ready()),
            approvals=message.approvals,
            approved=frozenset(self._ledger.approved),
            answer=self._ledger.answer,
            person_waits=lambda: bool(self._conversation.steering()),
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
        """Keep the files as they are before this task; without it only the undoing is lost."""
        try:
            await operations.take_snapshot(self.runner, task_id)
        except BridgeError as error:
            _log.warning("the files were not kept before the task: %s", error.message)

    async def record_check(self, task_id: str, check: CheckRun) -> None:
        """Record a check with the files as they are right after it."""
        tree = await self._tree(_LOOK_SECONDS)
        await self._events.record(CheckRecorded(task_id=task_id, check=check, tree=tree))

    async def evidence(self, task_id: str, look_seconds: float) -> Evidence:
        """What was recorded about a task that is over."""
        checks = tuple(self._ledger.checks.values())
        tree, before = await self._trees(task_id, look_seconds)
        return Evidence(
            checks=tuple(
                Check(**run.check.model_dump(), stale=_differ(tree, run.tree)) for run in checks
            ),
            changed=_differ(tree, before) if self._ledger.ran_tools else False,
        )

    async def undo(self, task_id: str) -> int:
        """Put the files back to before this task, which has to be the last one; how many differ.

        Nobody may work meanwhile. Asked once more, it answers the same and touches nothing: who
        asks may have died before the first answer was stored. Raises BridgeError.
        """
        done = self._ledger.not_undone
        if task_id in self._ledger.undone:
            return self._ledger.undone[task_id]
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
        changes = await operations.read_changes(self.runner, self.ready().base_commit)
        return changes[:_MAX_FILES_SHOWN]

    async def _trees(self, task_id: str, seconds: float) -> tuple[str, str]:
        """Git's names of the files now and before the task; "" where they are not known."""
        if not seconds or not self._ledger.ran_tools:
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
                return await operations.read_tree(self.runner, self.ready().base_commit)
        except (BridgeError, TimeoutError) as error:
            _log.warning("the files could not be looked at: %s", error)
            return ""


def _differ(one: str, other: str) -> bool | None:
    return one != other if one and other else None
