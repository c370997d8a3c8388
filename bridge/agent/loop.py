"""The loop: asks the model, runs the tools that it calls, and asks again until it is done."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

from bridge.agent import prompts
from bridge.agent.compaction import Compaction
from bridge.agent.loop_detector import LoopDetector
from bridge.errors import ModelError
from bridge.model.response import ModelTurn, ToolCall
from bridge.model.selection import ModelChoice
from bridge.protocol import (
    MAX_MESSAGE_CHARS,
    CheckRun,
    MessageWritten,
    ModelChanged,
    Outcome,
    QuestionAsked,
    StepStarted,
    TaskPaused,
)
from bridge.state.conversation import Conversation, UserMessage
from bridge.state.event_log import EventLog
from bridge.tools.base import PersonNeeded, ToolContext, ToolResult
from bridge.tools.call import ToolCalls
from bridge.tools.long_results import KeptResults

_MAX_CONTINUATIONS = 4  # of an answer that the output limit cuts
_LEAST_RESULT_CHARS = 600


@dataclass(frozen=True, slots=True)
class Task:
    """One request to the agent, with what its session does for it.

    `take_messages` moves the messages that steer this task into the conversation. `save_files` is
    awaited once, before the first tool runs, `record_check` after each command that checks the
    work, `show_changes` after a step that may have changed files. `wants_pause` tells whether the
    task shall wait before its next model call.
    """

    id: str
    model: str
    max_steps: int
    context: ToolContext
    take_messages: Callable[[], Awaitable[Sequence[UserMessage]]]
    show_changes: Callable[[], Awaitable[None]]
    save_files: Callable[[], Awaitable[None]]
    record_check: Callable[[CheckRun], Awaitable[None]]
    wants_pause: Callable[[], bool]
    fallback_models: tuple[str, ...] = ()
    plan_model: str | None = None


@dataclass(slots=True)
class _Run:
    """A task at work. `parts` are those of an answer that the output limit cut so far."""

    task: Task
    choice: ModelChoice
    detector: LoopDetector
    step: int
    files_saved: bool
    parts: list[str] = field(default_factory=list)


class Executor:
    """Runs tasks, one at a time, on one conversation: `run`, then `_step`, `_ask`, `_execute`.

    It writes events and reads no client. `answered_by` is the model of the conversation so far.
    """

    def __init__(
        self,
        conversation: Conversation,
        events: EventLog,
        compaction: Compaction,
        tool_calls: ToolCalls,
        results: KeptResults,
        *,
        answered_by: str | None = None,
    ) -> None:
        self._conversation = conversation
        self._events = events
        self._compaction = compaction
        self._tool_calls = tool_calls
        self._results = results
        self._answered_by = answered_by

    async def run(self, task: Task, after_step: int = 0) -> Outcome | None:
        """Runs steps until the model is done or none is left; None: the task waits for a person.

        To go on then, run it again from the step that it was at: calls that have no results yet
        are run first. Raises ModelError when the model fails for good, and BridgeError when it goes
        in circles; when cancelled, the conversation may hold calls without results.
        """
        choice = ModelChoice(task.model, task.fallback_models, task.plan_model)
        run = _Run(task, choice, LoopDetector(), after_step, files_saved=after_step > 0)
        try:
            if after_step and (calls := self._conversation.open_tool_calls()):
                await self._run_calls(run, calls, begun=calls[0].id)
            while run.step < task.max_steps:
                if task.wants_pause() and not run.parts:
                    await self._conversation.sync()
                    await self._events.record(TaskPaused(task_id=task.id, step=run.step))
                    return None
                run.step += 1
                outcome = await self._step(run)
                if outcome is not None:
                    return outcome
        except PersonNeeded:
            return None
        return Outcome.STEP_LIMIT

    async def _step(self, run: _Run) -> Outcome | None:
        """Asks the model once and runs the calls of its answer; None: the task is not over."""
        task, is_last = run.task, run.step == run.task.max_steps
        await self._take_messages(run)
        if note := prompts.steps_left_note(task.max_steps - run.step, task.max_steps):
            self._note(note)
        await self._conversation.sync()
        started = StepStarted(task_id=task.id, step=run.step, max_steps=task.max_steps)
        await self._events.record(started)
        turn = await self._ask(run)
        run.choice.leave_plan_model()
        run.parts.append(turn.text)
        if turn.tool_calls:
            await self._write_answer(run, final=False)
            await self._execute(run, turn.tool_calls)
            return None
        if turn.cut_off and len(run.parts) <= _MAX_CONTINUATIONS and not is_last:
            self._note(prompts.CUT_OFF_NOTE)
            return None
        await self._write_answer(run, final=True)
        if is_last and prompts.says_unfinished(turn.text):
            return Outcome.STEP_LIMIT
        goes_on = not is_last and self._conversation.steering_messages()
        return None if goes_on else Outcome.COMPLETED

    async def _ask(self, run: _Run) -> ModelTurn:
        """Asks the model of the task, and the next one where that is unavailable."""
        task_id, choice = run.task.id, run.choice
        while True:
            model = choice.current
            if self._answered_by not in (None, model):
                self._conversation.drop_reasoning()
            try:
                turn = await self._compaction.ask(
                    task_id, model, self._tool_calls.schemas, max_attempts=choice.max_attempts
                )
            except ModelError as error:
                if not choice.fall_back(error):
                    raise
                if self._conversation.messages[-1]["role"] == "assistant":
                    # Half an answer: without a word behind it, it would be continued as it is.
                    self._note(prompts.BROKEN_OFF_NOTE)
                await self._record_model(run, model, error)
            else:
                self._answered_by = model
                return turn

    async def _execute(self, run: _Run, calls: Sequence[ToolCall]) -> None:
        """Runs the calls of one answer, and tells a model that goes in circles so."""
        if not run.files_saved:
            await run.task.save_files()
            run.files_saved = True
        results = await self._run_calls(run, calls)
        repeated = run.detector.add_step(calls, results)
        if repeated is not None:
            if repeated.is_final:
                raise repeated.error()
            self._note(prompts.CIRCLE_NOTE.format(what=repeated.what))

    async def _run_calls(
        self, run: _Run, calls: Sequence[ToolCall], *, begun: str = ""
    ) -> list[ToolResult]:
        """Runs calls in turn and appends their results to the conversation, shortened to fit.

        PersonNeeded comes through, once the question is recorded: the calls from there on are left
        open. `begun` is the call whose start was recorded before its person was asked.
        """
        limits = await self._compaction.limits(run.choice.current)
        room = limits.step_chars
        results: list[ToolResult] = []
        try:
            for call in calls:
                result = await self._run_call(run, call, begun=call.id == begun)
                results.append(result)
                limit = max(min(limits.result_chars, room), _LEAST_RESULT_CHARS)
                text = self._results.shortened(call.id, result.text, limit)
                room -= len(text)
                message = {"role": "tool", "tool_call_id": call.id, "content": text}
                self._conversation.append(message)
                if result.check is not None:
                    await run.task.record_check(result.check)
        except PersonNeeded:
            await self._show_changes(run, results)
            raise
        await self._show_changes(run, results)
        return results

    async def _run_call(self, run: _Run, call: ToolCall, *, begun: bool) -> ToolResult:
        task_id, context = run.task.id, run.task.context
        if not begun:
            context = replace(context, answer=None)  # it is for that call alone
        try:
            return await self._tool_calls.run(task_id, call, context, begun=begun)
        except PersonNeeded as needed:
            await self._conversation.sync()  # the call has to be there when the question is
            question = QuestionAsked(
                task_id=task_id,
                question_id=uuid.uuid4().hex[:16],
                call_id=call.id,
                step=run.step,
                **asdict(needed.question),
            )
            await self._events.record(question)
            raise

    async def _show_changes(self, run: _Run, results: Sequence[ToolResult]) -> None:
        if any(result.files_touched or result.exit_code is not None for result in results):
            await run.task.show_changes()

    async def _take_messages(self, run: _Run) -> None:
        previous = run.choice.current
        for message in await run.task.take_messages():
            run.detector.restart()
            run.choice.choose_model(message.model)
        if run.choice.current != previous:
            await self._record_model(run, previous, None)

    async def _record_model(self, run: _Run, previous: str, error: ModelError | None) -> None:
        changed = ModelChanged(
            task_id=run.task.id,
            model=run.choice.current,
            previous=previous,
            error=error.on_the_wire() if error else None,
        )
        await self._events.record(changed)

    async def _write_answer(self, run: _Run, *, final: bool) -> None:
        text = "".join(run.parts)
        run.parts.clear()
        if text.strip():
            cut = text[:MAX_MESSAGE_CHARS]
            await self._events.record(MessageWritten(task_id=run.task.id, text=cut, final=final))

    def _note(self, text: str) -> None:
        self._conversation.append({"role": "user", "content": text})
