"""Makes the workspace, and puts it into a state that it had: a clone, a patch, an undone task."""

import asyncio
import logging

from bridge.agent.task_runner import TaskRunner
from bridge.agent.workbench import Workbench
from bridge.config import BridgeSettings
from bridge.errors import BridgeError, WorkspaceError
from bridge.protocol import (
    ErrorCode,
    FilesChanged,
    WorkspaceCloning,
    WorkspaceReady,
    WorkspaceReadyEvent,
    WorkspaceRequest,
)
from bridge.runner import operations
from bridge.runner.saved_patch import SavedPatch
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection

_log = logging.getLogger(__name__)


class SessionSetup:
    """One thing at a time, and never beside a task. Raises BridgeError."""

    def __init__(
        self,
        settings: BridgeSettings,
        bench: Workbench,
        events: EventLog,
        ledger: Projection,
        worker: TaskRunner,
    ) -> None:
        self._settings = settings
        self._bench = bench
        self._events = events
        self._ledger = ledger
        self._worker = worker
        self._saved_patch = SavedPatch(settings.state_dir, bench.runner)
        self._at_checkout = asyncio.Lock()

    @property
    def at_work(self) -> bool:
        """Whether something of it is being done."""
        return self._at_checkout.locked()

    async def finish(self) -> None:
        """Complete what a kill cut short."""
        if self._ledger.workspace is not None and self._saved_patch.exists:
            async with self._at_checkout:
                await self._saved_patch.finish()

    async def prepare(self, request: WorkspaceRequest) -> WorkspaceReady:
        """Clone, or find the clone already there."""
        async with self._at_checkout:
            is_new = self._ledger.workspace is None
            is_patched = self._saved_patch.exists
            if is_new:
                await self._events.record(
                    WorkspaceCloning(
                        repository=request.repository, source_branch=request.source_branch
                    )
                )
            ready = await operations.clone_repository(
                self._bench.runner,
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
            self._worker.start()
            if is_patched:
                await self._show_changes(ready.base_commit)
            return ready

    async def apply(self, patch: bytes) -> None:
        """Put the changes of an earlier container into the workspace, once.

        Before there is a workspace the patch is kept, and becomes a part of the next one; an empty
        one takes that back. Later it goes into a workspace that no task has worked in.
        """
        async with self._at_checkout:
            ready = self._ledger.workspace
            if not patch:
                self._saved_patch.drop()
            elif ready is None:
                await self._saved_patch.store(patch)
            elif not await self._saved_patch.is_applied(patch):
                if self._worker.current is not None or self._ledger.first_seq:
                    raise WorkspaceError(
                        ErrorCode.WORKSPACE_CONFLICT,
                        "A task has worked in this workspace; a patch goes onto a fresh one only.",
                    )
                with self._worker.hold():
                    await self._saved_patch.apply_now(patch)
                await self._show_changes(ready.base_commit)

    async def undo(self, task_id: str) -> int:
        """Put the files back to before the last task; how many of them differ by it."""
        self._bench.ready()
        if self._worker.current is not None or self.at_work:
            raise BridgeError(
                ErrorCode.WORKSPACE_CONFLICT, "The agent is at work. Interrupt it first, then undo."
            )
        async with self._at_checkout:
            with self._worker.hold():
                return await self._bench.undo(task_id)

    async def _show_changes(self, base_commit: str) -> None:
        try:
            files = await operations.read_changes(self._bench.runner, base_commit)
        except WorkspaceError as error:
            _log.warning("the changes could not be read: %s", error.message)
        else:
            await self._events.record(FilesChanged(files=files))
