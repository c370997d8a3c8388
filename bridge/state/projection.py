"""Adds the events up: the workspace, the tasks, the step, the usage."""

from bridge.protocol import (
    MAX_CHECKS,
    MAX_COUNT,
    MAX_DOLLARS,
    ApprovalChoice,
    CheckRecorded,
    Event,
    MessageTakenUp,
    ModelChanged,
    QuestionAnswered,
    QuestionAsked,
    StepStarted,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    TaskUndone,
    ToolFinished,
    ToolStarted,
    Usage,
    UsageRecorded,
    WorkspaceReadyEvent,
)


class Projection:
    """The state that the event log adds up to; the same after a restart as before it."""

    def __init__(self) -> None:
        self.workspace: WorkspaceReadyEvent | None = None
        self.model: str | None = None
        self.max_steps = 0
        self.step = 0
        self.usage = Usage()
        self.running: TaskStarted | None = None
        self.open_tool: ToolStarted | None = None
        self.ran_tools = False  # in the task
        self.first_seq: dict[str, int] = {}
        self.taken_messages: set[str] = set()
        self.question: QuestionAsked | None = None  # of the open tool call
        self.answer: QuestionAnswered | None = None  # to that question
        self.answers: dict[str, QuestionAnswered] = {}
        self.approved: set[str] = set()
        self.paused = False
        self.checks: dict[tuple[str, str], CheckRecorded] = {}  # of the task, by what was run
        self.not_undone: list[str] = []  # tasks that have begun, oldest first
        self.undone: dict[str, int] = {}  # how many files each undone task had changed

    @property
    def waits(self) -> bool:
        """Checks whether the running task waits for a person."""
        is_open = self.question is not None and self.answer is None
        return self.running is not None and (self.paused or is_open)

    def add_event(self, event: Event) -> None:  # noqa: C901, PLR0912  (a match over a closed union)
        """Adds one more event; types that change nothing here are ignored."""
        match event:
            case WorkspaceReadyEvent():
                self.workspace = event
            case TaskStarted():
                self._begin_task(event)
            case MessageTakenUp():
                self.taken_messages.add(event.message_id)
            case StepStarted():
                self.step = event.step
            case ModelChanged():
                self.model = event.model
            case ToolStarted():
                self.open_tool, self.ran_tools = event, True
            case ToolFinished():
                self.open_tool = self.question = self.answer = None
            case UsageRecorded():
                self.usage = _sum(self.usage, event)
            case QuestionAsked():
                self.question, self.answer = event, None
            case QuestionAnswered():
                self._add_answer(event)
            case TaskPaused():
                self.paused = True
            case TaskResumed():
                self.paused = False
            case CheckRecorded():
                self._add_check(event)
            case TaskFinished():
                self.running = self.question = self.answer = None
                self.paused = False
            case TaskUndone():
                self.undone[event.undone_task_id] = event.files
                self.not_undone = [t for t in self.not_undone if t not in self.undone]
            case _:
                pass

    def _begin_task(self, event: TaskStarted) -> None:
        self.running, self.open_tool, self.ran_tools = event, None, False
        self.model, self.max_steps, self.step = event.model, event.max_steps, 0
        self.first_seq[str(event.task_id)] = event.seq
        self.question = self.answer = None
        self.paused = False
        self.checks = {}
        self.not_undone.append(str(event.task_id))

    def _add_answer(self, event: QuestionAnswered) -> None:
        self.answer = self.answers[event.question_id] = event
        if event.answer == ApprovalChoice.AGENT and event.fingerprint:
            self.approved.add(event.fingerprint)

    def _add_check(self, event: CheckRecorded) -> None:
        key = (event.check.command, event.check.working_directory)
        self.checks.pop(key, None)  # the newest run goes last
        self.checks[key] = event
        while len(self.checks) > MAX_CHECKS:
            del self.checks[next(iter(self.checks))]


def _sum(usage: Usage, call: UsageRecorded) -> Usage:
    cost = usage.cost_usd
    if call.cost_usd is not None:
        cost = (cost or 0.0) + call.cost_usd
    return Usage(
        model_calls=usage.model_calls + 1,
        prompt_tokens=min(usage.prompt_tokens + call.prompt_tokens, MAX_COUNT),
        completion_tokens=min(usage.completion_tokens + call.completion_tokens, MAX_COUNT),
        cached_tokens=min(usage.cached_tokens + call.cached_tokens, MAX_COUNT),
        reasoning_tokens=min(usage.reasoning_tokens + call.reasoning_tokens, MAX_COUNT),
        cost_usd=None if cost is None else min(cost, MAX_DOLLARS),
    )
