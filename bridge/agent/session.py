"""Puts the parts of an agent together, and offers every request of the protocol as a method."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

from bridge.agent.compaction import Compaction
from bridge.agent.loop import Executor, Task
from bridge.agent.model_retry import ModelRetry, RetryPolicy, Sleep
from bridge.agent.session_setup import SessionSetup, Workbench
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
from bridge.tools.long_results import KeptResults, read_result_tool
from bridge.workspace import push

_DIFF_BYTES = 400_000
_DEFAULT_STEPS: int = ExecuteRequest.model_fields["max_steps"].default


class Session:
    """One workspace, one conversation, one task at a time; tasks are done while `run` runs.

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
        self._projection = Projection()
        self._conversation = Conversation(settings.state_dir / "conversation.jsonl")
        self.events = EventLog(
            settings.state_dir / "events.jsonl",
            self._projection.add_event,
            base_seq=self._conversation.base_seq,
        )
        conversation, events = self._conversation, self.events
        self._workbench = Workbench(settings, tools, runner, conversation, events, self._projection)
        self._runner = self._workbench.runner
        policy = RetryPolicy(settings.model_max_attempts, settings.model_retry_seconds)
        calls = ModelRetry(model, conversation, events, policy=policy, sleep=sleep)
        compaction = Compaction(
            model, conversation, events, calls, summary_model=settings.summary_model
        )
        self._task_runner = TaskRunner(
            self._make_executor(compaction, ToolCalls(tools, events)),
            conversation,
            events,
            self._projection,
            self._make_task,
            self._workbench.read_evidence,
            held=settings.hold_tasks,
        )
        self.is_over = self._task_runner.is_over
        self._setup = SessionSetup(
            settings, self._workbench, events, self._projection, self._task_runner
        )
        self._pushing = asyncio.Lock()

    async def run(self) -> None:
        """Works on the tasks that come in, until cancelled."""
        await self._setup.finish_patch()
        await self._task_runner.run()

    def close(self) -> None:
        """Closes the files; `run` and every request are over by then."""
        self.events.close()
        self._conversation.close()
        self._results.close()

    async def prepare(self, request: WorkspaceRequest) -> WorkspaceReady:
        """Clones the repository, or finds its clone already there."""
        return await self._setup.prepare_workspace(request)

    async def apply(self, patch: bytes) -> Status:
        """Puts the changes of an earlier container into the workspace, once."""
        await self._setup.apply_patch(patch)
        return self.status()

    async def export(self) -> bytes:
        """Returns the conversation as JSON, which `restore` takes."""
        newest = self._results.newest
        return await archive.export_conversation(
            self._conversation, self.events.last_seq, results=newest
        )

    async def restore(self, conversation: SavedConversation) -> Status:
        """Goes on with the conversation of an earlier bridge, before anything has happened here.

        All of it is on the disk when this returns, and nothing of it when it raises BridgeError.
        """
        if self._conversation.restored_digest != archive.digest_of_saved(conversation):
            if not self.events.is_empty:
                raise BridgeError(
                    ErrorCode.WORKSPACE_CONFLICT, "This bridge has a history of its own already."
                )
            self._results.import_saved(conversation.results)
            archive.restore_conversation(self._conversation, conversation)
            self.events.start_after(conversation.last_seq)
        await self._conversation.sync()
        return self.status()

    async def revise(self, message_id: str, text: str | None) -> Revised:
        """Changes a message that waits, or withdraws it (None)."""
        return Revised(revised=await self._task_runner.revise_message(message_id, text))

    async def execute(self, request: ExecuteRequest) -> Accepted:
        """Starts the task, or lets it wait while another one is at work."""
        self._workbench.ready_workspace()
        return await self._task_runner.accept_message(
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
        """Hands the message to the task at work, or makes it a task of its own."""
        self._workbench.ready_workspace()
        last = self._conversation.last_accepted
        model = request.model or (last.model if last else None)
        if model is None:
            raise BridgeError(ErrorCode.INVALID_REQUEST, "The first task has to name a model.")
        return await self._task_runner.accept_message(
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
        """Ends the task at work; container, workspace, conversation and queue stay."""
        await self._task_runner.interrupt_task()
        return self.status()

    async def answer(self, question_id: str, request: AnswerRequest) -> Answered:
        """Answers the question that the task waits for."""
        answered = await self._task_runner.pauses.answer_question(
            question_id, request.answer, request.author
        )
        self._task_runner.wake()
        return answered

    def pause(self, request: TaskRequest) -> Status:
        """Lets the task wait before its next model call."""
        self._task_runner.pauses.pause_task(request.task_id)
        return self.status()

    async def resume(self, request: TaskRequest) -> Status:
        """Lets a paused task go on."""
        await self._task_runner.pauses.resume_task(request.task_id)
        self._task_runner.wake()
        return self.status()

    async def undo(self, request: TaskRequest) -> Undone:
        """Puts the files back to before the last task."""
        return Undone(files=await self._setup.undo_task(request.task_id))

    def status(self) -> Status:
        """Returns the state of the session: what it works on, and how far it is."""
        projection, current = self._projection, self._task_runner.current
        if current is not None:
            status = (
                SessionStatus.WAITING if self._task_runner.is_waiting else SessionStatus.WORKING
            )
        elif self._setup.at_work:
            status = SessionStatus.CLONING
        else:
            status = SessionStatus.EMPTY if projection.workspace is None else SessionStatus.IDLE
        at_work = projection.running is not None
        return Status(
            status=status,
            instance_id=self.instance_id,
            task_id=current.task_id if current else None,
            model=projection.model,
            step=projection.step if at_work else 0,
            max_steps=projection.max_steps if at_work else 0,
            queue=len(self._task_runner.queued),
            question_id=projection.question.question_id if projection.question else None,
            last_seq=self.events.last_seq,
            conversation_messages=len(self._conversation.messages),
            usage=projection.usage,
        )

    async def attach(self, name: str, data: bytes) -> Attached:
        """Puts a file that a person attached into the workspace."""
        self._workbench.ready_workspace()
        return await operations.attach_file(self._runner, name, data)

    def set_environment(self, environment: ToolEnvironment) -> Status:
        """Gives commands these variables, from the next one on, and none of an earlier call."""
        self._workbench.variables.clear()
        self._workbench.variables.update(environment.variables)
        return self.status()

    async def diff(self) -> Diff:
        """Returns the changes against the source branch, for people to read."""
        base = self._workbench.ready_workspace().base_commit
        return await operations.read_diff(self._runner, base, _DIFF_BYTES)

    async def patch(self) -> bytes:
        """Returns the same changes as a patch that `git apply` accepts."""
        return await operations.read_patch(
            self._runner, self._workbench.ready_workspace().base_commit
        )

    async def push(self, request: PushRequest) -> Pushed:
        """Pushes the commits to the target branch; commits the rest first when asked to."""
        ready, token = self._workbench.ready_workspace(), self._settings.git_token
        workspace, url = self._workbench.workspace, request.clone_url
        async with self._pushing:
            if request.commit_message is not None:
                try:
                    await operations.commit_all(self._runner, request.commit_message)
                except WorkspaceError as error:
                    return Pushed(refusal=error.message[:1_000])
            head = await operations.read_head(self._runner)
            return await push.push_branch(workspace, url, ready, head, git_token=token)

    def before_task(self, task_id: str) -> int:
        """Returns the number of the event before the task's first, or of the newest event."""
        first = self._projection.first_seq.get(task_id)
        return self.events.last_seq if first is None else first - 1

    def _make_executor(self, compaction: Compaction, tool_calls: ToolCalls) -> Executor:
        return Executor(
            self._conversation,
            self.events,
            compaction,
            tool_calls,
            self._results,
            answered_by=self._projection.model,
        )

    def _make_task(self, message: UserMessage) -> Task:
        workbench, task_id = self._workbench, message.task_id
        workbench.write_instructions(message.max_steps)
        running = self._projection.running
        goes_on = running is not None and running.task_id == task_id
        return Task(
            id=task_id,
            # One that goes on may have another model by now.
            model=(self._projection.model if goes_on else None) or message.model,
            max_steps=message.max_steps,
            take_messages=self._task_runner.take_messages,
            show_changes=lambda: workbench.show_changes(task_id),
            fallback_models=self._settings.fallback_models,
            plan_model=self._settings.plan_model,
            context=workbench.tool_context(message),
            save_files=lambda: workbench.save_files(task_id),
            record_check=lambda check: workbench.record_check(task_id, check),
            wants_pause=lambda: self._task_runner.pauses.wants_pause(task_id),
        )
