"""The agent's session: everything the bridge does, without HTTP."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Any

from bridge import pushing, saved
from bridge.config import BridgeSettings
from bridge.conversation import Conversation, PersonMessage
from bridge.equipment import Equipment
from bridge.errors import BridgeError, WorkspaceError
from bridge.events import EventLog
from bridge.executor import Executor, Task
from bridge.ledger import Ledger
from bridge.llm import ChatModel
from bridge.memory import Memory
from bridge.model_calls import ModelCalls, Patience, Sleep
from bridge.patching import SavedPatch, is_applied
from bridge.protocol import (
    Accepted,
    Attached,
    ChatMode,
    ChatRequest,
    Diff,
    ErrorCode,
    ExecuteRequest,
    FileChange,
    FilesChanged,
    Pushed,
    PushRequest,
    Revised,
    SavedConversation,
    SessionStatus,
    Status,
    ToolEnvironment,
    WorkspaceCloning,
    WorkspaceReady,
    WorkspaceReadyEvent,
    WorkspaceRequest,
)
from bridge.results import KeptResults, read_result_tool
from bridge.runner.errands import Runner
from bridge.tool_calls import ToolCalls
from bridge.tools.base import Tool
from bridge.worker import Worker

_log = logging.getLogger(__name__)
_DIFF_BYTES = 400_000
_DEFAULT_STEPS: int = ExecuteRequest.model_fields["max_steps"].default


class Session:
    """One workspace, one conversation, one task at a time; `run` must run for tasks to be done.

    Methods raise BridgeError for everything that the caller should hear about.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        model: ChatModel,
        tools: Sequence[Tool[Any]],
        sleep: Sleep = asyncio.sleep,
        *,
        runner: Runner | None = None,
    ) -> None:
        self.instance_id = uuid.uuid4().hex
        self._settings = settings
        self._results = KeptResults(settings.state_dir / "results.jsonl")
        tools = (*tools, read_result_tool(self._results))
        self._equipment = Equipment(settings, tools, runner)
        self._hands = self._equipment.hands
        self._ledger = Ledger()
        self._conversation = Conversation(settings.state_dir / "conversation.jsonl")
        self.events = EventLog(
            settings.state_dir / "events.jsonl",
            self._ledger.enter,
            base_seq=self._conversation.base_seq,
        )
        self._saved_patch = SavedPatch(settings.state_dir)
        patience = Patience(settings.model_max_attempts, settings.model_retry_seconds)
        talk, events = self._conversation, self.events
        calls = ModelCalls(model, talk, events, patience=patience, sleep=sleep)
        memory = Memory(model, talk, events, calls, summary_model=settings.summary_model)
        tool_calls, last_model = ToolCalls(tools, events), self._ledger.model
        executor = Executor(
            talk, events, calls, tool_calls, memory, self._results, answered_by=last_model
        )
        self._worker = Worker(executor, talk, events, self._ledger, self._make_task)
        self.is_over = self._worker.is_over
        self._at_checkout = asyncio.Lock()  # a clone, or a patch
        self._pushing = asyncio.Lock()

    async def run(self) -> None:
        """Work on what comes in, until cancelled."""
        if self._ledger.workspace is not None and self._saved_patch.is_there:
            async with self._at_checkout:
                await self._saved_patch.finish(self._hands)
        await self._worker.run()

    def close(self) -> None:
        """Close the files; `run` and every request are over by then."""
        self.events.close()
        self._conversation.close()
        self._results.close()

    async def prepare(self, request: WorkspaceRequest) -> WorkspaceReady:
        """Clone, or find the clone already there."""
        async with self._at_checkout:
            is_new = self._ledger.workspace is None
            is_patched = self._saved_patch.is_there
            if is_new:
                await self.events.record(
                    WorkspaceCloning(
                        repository=request.repository, source_branch=request.source_branch
                    )
                )
            ready = await self._hands.clone(
                request,
                self._settings.git_token,
                self._settings.clone_timeout_seconds,
                await self._saved_patch.for_a_new_one(),
            )
            if ready.already_there:
                await self._saved_patch.put_on(self._hands)
            self._saved_patch.drop()
            if is_new:
                fields = ready.model_dump(exclude={"already_there"})
                await self.events.record(WorkspaceReadyEvent(**fields))
            self._worker.start()
            if is_patched:
                await self._show_changes(ready.base_commit)
            return ready

    async def apply(self, patch: bytes) -> Status:
        """Put the changes of an earlier container into the workspace, once.

        Before there is a workspace the patch is kept, and becomes a part of the next one; an empty
        one takes that back. Later it goes into a workspace that no task has worked in.
        """
        async with self._at_checkout:
            ready = self._ledger.workspace
            if not patch:
                self._saved_patch.drop()
            elif ready is None:
                await self._saved_patch.keep(patch)
            elif not await is_applied(self._hands, patch):
                if self._worker.current is not None or self._ledger.first_seq:
                    raise WorkspaceError(
                        ErrorCode.WORKSPACE_CONFLICT,
                        "A task has worked in this workspace; a patch goes onto a fresh one only.",
                    )
                with self._worker.hold():
                    await self._saved_patch.put_now(self._hands, patch)
                await self._show_changes(ready.base_commit)
        return self.status()

    async def export(self) -> bytes:
        """The conversation as `restore` takes it, as JSON."""
        newest = self._results.newest
        return await saved.exported(self._conversation, self.events.last_seq, results=newest)

    async def restore(self, conversation: SavedConversation) -> Status:
        """Go on with the conversation of an earlier bridge, before anything has happened here.

        All of it is on the disk when this returns, and nothing of it when it raises BridgeError.
        """
        if self._conversation.restored_digest != saved.digest_of(conversation):
            if not self.events.is_empty:
                raise BridgeError(
                    ErrorCode.WORKSPACE_CONFLICT, "This bridge has a history of its own already."
                )
            self._results.take_in(conversation.results)
            saved.restore(self._conversation, conversation)
            self.events.start_after(conversation.last_seq)
        await self._conversation.sync()
        return self.status()

    async def revise(self, message_id: str, text: str | None) -> Revised:
        """Change a message that waits, or withdraw it (None)."""
        return Revised(revised=await self._worker.revise(message_id, text))

    async def execute(self, request: ExecuteRequest) -> Accepted:
        """Start the task, or let it wait while another one is at work."""
        self._ready()
        return await self._worker.accept(
            PersonMessage(
                task_id=request.task_id,
                text=request.text,
                mode=ChatMode.QUEUE,
                model=request.model,
                max_steps=request.max_steps,
                author=request.author,
            )
        )

    async def chat(self, request: ChatRequest) -> Accepted:
        """Hand the message to the task at work, or make it a task of its own."""
        self._ready()
        last = self._conversation.last_accepted
        model = request.model or (last.model if last else None)
        if model is None:
            raise BridgeError(ErrorCode.INVALID_REQUEST, "The first task has to name a model.")
        return await self._worker.accept(
            PersonMessage(
                task_id=request.task_id,
                message_id=request.message_id,
                text=request.text,
                mode=request.mode,
                model=model,
                max_steps=request.max_steps or (last.max_steps if last else _DEFAULT_STEPS),
                author=request.author,
            )
        )

    async def interrupt(self) -> Status:
        """End the task at work; container, workspace, conversation and queue stay."""
        await self._worker.interrupt()
        return self.status()

    def status(self) -> Status:
        """What the session is doing."""
        ledger, current = self._ledger, self._worker.current
        if current is not None:
            status = SessionStatus.WORKING
        elif self._at_checkout.locked():
            status = SessionStatus.CLONING
        else:
            status = SessionStatus.EMPTY if ledger.workspace is None else SessionStatus.IDLE
        at_work = ledger.running is not None
        return Status(
            status=status,
            instance_id=self.instance_id,
            task_id=current.task_id if current else None,
            model=ledger.model,
            step=ledger.step if at_work else 0,
            max_steps=ledger.max_steps if at_work else 0,
            queue=len(self._worker.queued),
            last_seq=self.events.last_seq,
            conversation_messages=len(self._conversation.messages),
            usage=ledger.usage,
        )

    async def attach(self, name: str, data: bytes) -> Attached:
        """Put a file that a person attached into the workspace."""
        self._ready()
        return await self._equipment.hands.attach(name, data)

    def set_environment(self, environment: ToolEnvironment) -> Status:
        """Give commands these variables, from the next one on, and none of an earlier call."""
        self._equipment.variables.clear()
        self._equipment.variables.update(environment.variables)
        return self.status()

    async def diff(self) -> Diff:
        """What changed against the source branch."""
        base = self._ready().base_commit
        return await self._hands.diff(base, _DIFF_BYTES)

    async def patch(self) -> bytes:
        """The same as a patch that `git apply` accepts."""
        return await self._hands.patch(self._ready().base_commit)

    async def push(self, request: PushRequest) -> Pushed:
        """Push what is committed to the target branch; nothing is committed by this."""
        ready, token = self._ready(), self._settings.git_token
        async with self._pushing:
            head = await self._hands.head()
            return await pushing.push(
                self._equipment.workspace, request.clone_url, ready, head, git_token=token
            )

    def before_task(self, task_id: str) -> int:
        """The number of the event before the task's first; the newest when it has not begun."""
        first = self._ledger.first_seq.get(task_id)
        return self.events.last_seq if first is None else first - 1

    async def _show_changes(self, base_commit: str) -> None:
        try:
            files = await self._hands.changes(base_commit)
        except WorkspaceError as error:
            _log.warning("the changes could not be read: %s", error.message)
        else:
            await self.events.record(FilesChanged(files=files))

    def _ready(self) -> WorkspaceReadyEvent:
        if self._ledger.workspace is None:
            raise WorkspaceError(
                ErrorCode.WORKSPACE_MISSING, "There is no workspace yet; prepare one first."
            )
        return self._ledger.workspace

    def _make_task(self, message: PersonMessage) -> Task:
        ready = self._ready()
        if not self._conversation.messages:
            prompt = self._equipment.instructions(ready, message.max_steps)
            self._conversation.append({"role": "system", "content": prompt})

        async def changes() -> tuple[FileChange, ...]:
            return await self._hands.changes(ready.base_commit)

        return Task(
            id=message.task_id,
            model=message.model,
            max_steps=message.max_steps,
            take_up=self._worker.take_up,
            changes=changes,
            fallback_models=self._settings.fallback_models,
            plan_model=self._settings.plan_model,
            context=self._equipment.context(ready),
        )
