"""The agent's session: everything the bridge does, without HTTP."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from bridge.agent.compaction import Compaction
from bridge.agent.loop import Executor, Task
from bridge.agent.model_retry import ModelRetry, RetryPolicy, Sleep
from bridge.agent.setup import SessionSetup, Workbench
from bridge.agent.task_runner import TaskRunner
from bridge.config import BridgeSettings
from bridge.errors import BridgeError, WorkspaceError
from bridge.model.client import ChatModel
from bridge.protocol import (
    Accepted,
    Answered,
    AnswerRequest,
    Attached,
    ChatMode,
    ChatRequest,
    Diff,
    ErrorCode,
    ExecuteRequest,
    Pushed,
    PushRequest,
    Revised,
    SavedConversation,
    SessionStatus,
    Status,
    TaskRequest,
    ToolEnvironment,
    Undone,
    WorkspaceReady,
    WorkspaceRequest,
)
from bridge.runner import operations
from bridge.runner.operations import Runner
from bridge.state import archive
from bridge.state.conversation import Conversation, UserMessage
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection
from bridge.tools.base import Tool
from bridge.tools.call import ToolCalls
from bridge.tools.results import KeptResults, read_result_tool
from bridge.workspace import push

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
        self._ledger = Projection()
        self._conversation = Conversation(settings.state_dir / "conversation.jsonl")
        self.events = EventLog(
            settings.state_dir / "events.jsonl",
            self._ledger.add_event,
            base_seq=self._conversation.base_seq,
        )
        talk, events = self._conversation, self.events
        self._bench = Workbench(settings, tools, runner, talk, events, self._ledger)
        self._runner = self._bench.runner
        patience = RetryPolicy(settings.model_max_attempts, settings.model_retry_seconds)
        calls = ModelRetry(model, talk, events, patience=patience, sleep=sleep)
        memory = Compaction(model, talk, events, calls, summary_model=settings.summary_model)
        tool_calls, last_model = ToolCalls(tools, events), self._ledger.model
        executor = Executor(talk, events, memory, tool_calls, self._results, answered_by=last_model)
        self._worker = TaskRunner(
            executor,
            talk,
            events,
            self._ledger,
            self._make_task,
            self._bench.evidence,
            held=settings.hold_tasks,
        )
        self.is_over = self._worker.is_over
        self._preparation = SessionSetup(settings, self._bench, events, self._ledger, self._worker)
        self._pushing = asyncio.Lock()

    async def run(self) -> None:
        """Work on what comes in, until cancelled."""
        await self._preparation.finish()
        await self._worker.run()

    def close(self) -> None:
        """Close the files; `run` and every request are over by then."""
        self.events.close()
        self._conversation.close()
        self._results.close()

    async def prepare(self, request: WorkspaceRequest) -> WorkspaceReady:
        """Clone, or find the clone already there."""
        return await self._preparation.prepare(request)

    async def apply(self, patch: bytes) -> Status:
        """Put the changes of an earlier container into the workspace, once."""
        await self._preparation.apply(patch)
        return self.status()

    async def export(self) -> bytes:
        """The conversation as `restore` takes it, as JSON."""
        newest = self._results.newest
        return await archive.exported(self._conversation, self.events.last_seq, results=newest)

    async def restore(self, conversation: SavedConversation) -> Status:
        """Go on with the conversation of an earlier bridge, before anything has happened here.

        All of it is on the disk when this returns, and nothing of it when it raises BridgeError.
        """
        if self._conversation.restored_digest != archive.digest_of(conversation):
            if not self.events.is_empty:
                raise BridgeError(
                    ErrorCode.WORKSPACE_CONFLICT, "This bridge has a history of its own already."
                )
            self._results.take_in(conversation.results)
            archive.restore(self._conversation, conversation)
            self.events.start_after(conversation.last_seq)
        await self._conversation.sync()
        return self.status()

    async def revise(self, message_id: str, text: str | None) -> Revised:
        """Change a message that waits, or withdraw it (None)."""
        return Revised(revised=await self._worker.revise(message_id, text))

    async def execute(self, request: ExecuteRequest) -> Accepted:
        """Start the task, or let it wait while another one is at work."""
        self._bench.ready()
        return await self._worker.accept(
            UserMessage(
                task_id=request.task_id,
                text=request.text,
                mode=ChatMode.QUEUE,
                model=request.model,
                max_steps=request.max_steps,
                author=request.author,
                approvals=request.approvals,
            )
        )

    async def chat(self, request: ChatRequest) -> Accepted:
        """Hand the message to the task at work, or make it a task of its own."""
        self._bench.ready()
        last = self._conversation.last_accepted
        model = request.model or (last.model if last else None)
        if model is None:
            raise BridgeError(ErrorCode.INVALID_REQUEST, "The first task has to name a model.")
        return await self._worker.accept(
            UserMessage(
                task_id=request.task_id,
                message_id=request.message_id,
                text=request.text,
                mode=request.mode,
                model=model,
                max_steps=request.max_steps or (last.max_steps if last else _DEFAULT_STEPS),
                author=request.author,
                approvals=request.approvals,
            )
        )

    async def interrupt(self) -> Status:
        """End the task at work; container, workspace, conversation and queue stay."""
        await self._worker.interrupt()
        return self.status()

    async def answer(self, question_id: str, request: AnswerRequest) -> Answered:
        """What a person says to the question that the task waits for."""
        answered = await self._worker.waiting.answer(question_id, request.answer, request.author)
        self._worker.go_on()
        return answered

    def pause(self, request: TaskRequest) -> Status:
        """Let the task wait before its next model call."""
        self._worker.waiting.pause(request.task_id)
        return self.status()

    async def resume(self, request: TaskRequest) -> Status:
        """Let a paused task go on."""
        await self._worker.waiting.resume(request.task_id)
        self._worker.go_on()
        return self.status()

    async def undo(self, request: TaskRequest) -> Undone:
        """Put the files back to before the last task."""
        return Undone(files=await self._preparation.undo(request.task_id))

    def status(self) -> Status:
        """What the session is doing."""
        ledger, current = self._ledger, self._worker.current
        if current is not None:
            status = SessionStatus.WAITING if self._worker.waits else SessionStatus.WORKING
        elif self._preparation.at_work:
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
            question_id=ledger.question.question_id if ledger.question else None,
            last_seq=self.events.last_seq,
            conversation_messages=len(self._conversation.messages),
            usage=ledger.usage,
        )

    async def attach(self, name: str, data: bytes) -> Attached:
        """Put a file that a person attached into the workspace."""
        self._bench.ready()
        return await operations.attach_file(self._runner, name, data)

    def set_environment(self, environment: ToolEnvironment) -> Status:
        """Give commands these variables, from the next one on, and none of an earlier call."""
        self._bench.variables.clear()
        self._bench.variables.update(environment.variables)
        return self.status()

    async def diff(self) -> Diff:
        """What changed against the source branch."""
        base = self._bench.ready().base_commit
        return await operations.read_diff(self._runner, base, _DIFF_BYTES)

    async def patch(self) -> bytes:
        """The same as a patch that `git apply` accepts."""
        return await operations.read_patch(self._runner, self._bench.ready().base_commit)

    async def push(self, request: PushRequest) -> Pushed:
        """Push what is committed to the target branch, and what is not when the request says so."""
        ready, token = self._bench.ready(), self._settings.git_token
        place, url = self._bench.workspace, request.clone_url
        async with self._pushing:
            if request.commit_message is not None:
                try:
                    await operations.commit_all(self._runner, request.commit_message)
                except WorkspaceError as error:
                    return Pushed(refusal=error.message[:1_000])
            head = await operations.read_head(self._runner)
            return await push.push_branch(place, url, ready, head, git_token=token)

    def before_task(self, task_id: str) -> int:
        """The number of the event before the task's first; the newest when it has not begun."""
        first = self._ledger.first_seq.get(task_id)
        return self.events.last_seq if first is None else first - 1

    def _make_task(self, message: UserMessage) -> Task:
        bench, task_id = self._bench, message.task_id
        bench.instruct(message.max_steps)
        running = self._ledger.running
        goes_on = running is not None and running.task_id == task_id
        return Task(
            id=task_id,
            # One that goes on may have another model by now.
            model=(self._ledger.model if goes_on else None) or message.model,
            max_steps=message.max_steps,
            take_messages=self._worker.take_messages,
            show_changes=lambda: bench.show_changes(task_id),
            fallback_models=self._settings.fallback_models,
            plan_model=self._settings.plan_model,
            context=bench.context(message),
            save_files=lambda: bench.save_files(task_id),
            record_check=lambda check: bench.record_check(task_id, check),
            wants_pause=lambda: self._worker.waiting.wants_pause(task_id),
        )
