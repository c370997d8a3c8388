"""The loop: ask the model, run the tools it calls, ask again, until it is done."""

from dataclasses import dataclass

from bridge.agent.compaction import Compaction
from bridge.agent.loop_detector import CallDone, LoopDetector
from bridge.agent.model_retry import ModelRetry
from bridge.agent.prompts import (
    BROKEN_OFF_NOTE,
    CIRCLE_NOTE,
    CUT_OFF_NOTE,
    FEW_STEPS_NOTE,
    LAST_STEP_NOTE,
    says_unfinished,
)
from bridge.agent.step_tools import StepTools
from bridge.agent.task import Task
from bridge.errors import BridgeError, ModelError
from bridge.model.response import ModelTurn
from bridge.model.selection import PATIENT_ATTEMPTS, ModelChoice
from bridge.protocol import (
    MAX_MESSAGE_CHARS,
    ErrorCode,
    MessageWritten,
    ModelChanged,
    Outcome,
    ReasoningWritten,
    StepStarted,
    TaskPaused,
)
from bridge.state.conversation import Conversation
from bridge.state.event_log import EventLog
from bridge.tools.base import PersonNeeded, ToolResult
from bridge.tools.call import ToolCalls
from bridge.tools.results import KeptResults

_MAX_CONTINUATIONS = 4
_FEW_STEPS = 3
_FEW_STEPS_FROM = 10  # a shorter task is near its end from the beginning


@dataclass(slots=True)
class _Run:
    """One task at work. `kept`: what is to happen before the first tool has happened."""

    task: Task
    choice: ModelChoice
    watch: LoopDetector
    step: int
    kept: bool


class Executor:
    """Runs tasks, one at a time, on one conversation. It writes events and reads no client.

    `answered_by` is the model that the conversation was with before this process.
    """

    def __init__(
        self,
        conversation: Conversation,
        events: EventLog,
        model_calls: ModelRetry,
        tool_calls: ToolCalls,
        memory: Compaction,
        results: KeptResults,
        *,
        answered_by: str | None = None,
    ) -> None:
        self._conversation = conversation
        self._events = events
        self._model_calls = model_calls
        self._tool_calls = tool_calls
        self._memory = memory
        self._step_tools = StepTools(conversation, events, tool_calls, memory, results)
        self._answered_by = answered_by

    async def run(self, task: Task, after_step: int = 0) -> Outcome | None:
        """Work until the model is done or the steps are used up; None: it waits for a person.

        To go on then, run it again from the step that it was at: calls that have no results yet
        are run first. Raises ModelError when the model fails for good, and BridgeError when it goes
        in circles; when cancelled, the conversation may hold calls without results.
        """
        choice = ModelChoice(task.model, task.fallback_models, task.plan_model)
        run = _Run(task, choice, LoopDetector(), after_step, kept=after_step > 0)
        try:
            if after_step:
                await self._step_tools.finish(task, run.choice.current, run.step)
            return await self._work(run)
        except PersonNeeded:
            return None

    async def _work(self, run: _Run) -> Outcome | None:
        task = run.task
        earlier: list[str] = []  # the parts of an answer that the output limit cut
        for step in range(run.step + 1, task.max_steps + 1):
            if task.wants_pause() and not earlier:
                await self._pause(run)
                return None
            run.step = step
            is_last = step == task.max_steps
            await self._take_up(run)
            self._say_how_much_is_left(task.max_steps - step, task.max_steps)
            await self._conversation.sync()
            await self._record_step(task, step)
            turn = await self._ask(run)
            run.choice.answered()
            if turn.tool_calls:
                await self._write(task, "".join((*earlier, turn.text)), final=False)
                earlier.clear()
                await self._run_tools(run, turn)
            elif turn.cut_off and len(earlier) < _MAX_CONTINUATIONS and not is_last:
                earlier.append(turn.text)
                self._note(CUT_OFF_NOTE)
            else:
                await self._write(task, "".join((*earlier, turn.text)), final=True)
                earlier.clear()
                if is_last:
                    return Outcome.STEP_LIMIT if says_unfinished(turn.text) else Outcome.COMPLETED
                if not self._conversation.steering():
                    return Outcome.COMPLETED
        return Outcome.STEP_LIMIT

    async def _pause(self, run: _Run) -> None:
        await self._conversation.sync()
        await self._events.record(TaskPaused(task_id=run.task.id, step=run.step))

    async def _take_up(self, run: _Run) -> None:
        previous = run.choice.current
        for message in await run.task.take_up():
            run.watch.restart()
            run.choice.choose(message.model)
        if run.choice.current != previous:
            await self._record_change(run, previous, None)

    def _say_how_much_is_left(self, left: int, max_steps: int) -> None:
        if left == 0:
            self._note(LAST_STEP_NOTE)
        elif left == _FEW_STEPS and max_steps >= _FEW_STEPS_FROM:
            self._note(FEW_STEPS_NOTE.format(left=left + 1))

    async def _record_step(self, task: Task, step: int) -> None:
        event = StepStarted(task_id=task.id, step=step, max_steps=task.max_steps)
        await self._events.record(event)

    async def _record_change(self, run: _Run, previous: str, error: ModelError | None) -> None:
        await self._events.record(
            ModelChanged(
                task_id=run.task.id,
                model=run.choice.current,
                previous=previous,
                error=error.on_the_wire() if error else None,
            )
        )

    async def _ask(self, run: _Run) -> ModelTurn:
        while True:
            model = run.choice.current
            try:
                return await self._ask_one(run, model)
            except ModelError as error:
                if not run.choice.fall_back(error):
                    raise
                if self._conversation.messages[-1]["role"] == "assistant":
                    # Half an answer: without a word behind it, it would be continued as it is.
                    self._note(BROKEN_OFF_NOTE)
                await self._record_change(run, model, error)

    async def _ask_one(self, run: _Run, model: str) -> ModelTurn:
        if self._answered_by not in (None, model):
            self._conversation.drop_reasoning()
        turn = await self._ask_within_limits(run, model)
        self._answered_by = model
        if turn.reasoning.strip():
            text = turn.reasoning[:MAX_MESSAGE_CHARS]
            await self._events.record(ReasoningWritten(task_id=run.task.id, text=text))
        return turn

    async def _ask_within_limits(self, run: _Run, model: str) -> ModelTurn:
        """One model's answer; a prompt that it finds too long is made shorter, once."""
        task_id, tools = run.task.id, self._tool_calls.schemas
        attempts = PATIENT_ATTEMPTS if run.choice.has_another else None
        await self._memory.make_room(task_id, model, tools)
        sent = self._memory.prompt_bytes(tools)
        try:
            turn = await self._model_calls.complete(task_id, model, tools, max_attempts=attempts)
        except ModelError as error:
            if error.code is not ErrorCode.CONTEXT_OVERFLOW:
                raise
            if not await self._memory.make_room_after(task_id, model, tools, error):
                raise
            sent = self._memory.prompt_bytes(tools)
            turn = await self._model_calls.complete(task_id, model, tools, max_attempts=attempts)
        self._memory.counted(turn.usage.prompt_tokens, sent)
        return turn

    async def _write(self, task: Task, text: str, *, final: bool) -> None:
        if text.strip():
            cut = text[:MAX_MESSAGE_CHARS]
            await self._events.record(MessageWritten(task_id=task.id, text=cut, final=final))

    async def _run_tools(self, run: _Run, turn: ModelTurn) -> None:
        if not run.kept:
            await run.task.before_tools()
            run.kept = True
        model, step = run.choice.current, run.step
        results = await self._step_tools.run(run.task, model, step, turn.tool_calls)
        self._look_for_circles(run, turn, results)

    def _look_for_circles(self, run: _Run, turn: ModelTurn, results: list[ToolResult]) -> None:
        done = [
            CallDone(call.name, call.arguments, result.ok, result.text)
            for call, result in zip(turn.tool_calls, results, strict=True)
        ]
        circle = run.watch.step(done)
        if circle is None:
            return
        if circle.is_the_end:
            raise BridgeError(
                ErrorCode.STUCK,
                f"The agent went in circles, {circle.what}, and a hint did not help. It was "
                "stopped so that it costs no more. Reply with what it is missing to go on.",
            )
        self._note(CIRCLE_NOTE.format(what=circle.what))

    def _note(self, text: str) -> None:
        self._conversation.append({"role": "user", "content": text})
