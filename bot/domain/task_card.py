"""The live card of one task as data: a fold over the events, and nothing about how it looks."""

from dataclasses import dataclass, replace

from bridge.protocol import (
    AgentEvent,
    ContextCompacted,
    Evidence,
    FileChange,
    FilesChanged,
    MessageWritten,
    ModelChanged,
    ModelRetried,
    Outcome,
    PlanItem,
    PlanUpdated,
    QuestionAnswered,
    QuestionAsked,
    StepStarted,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    UsageRecorded,
    WireError,
)

SHOWN_TOOLS = 40
NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of the boot. `seconds` is None while it runs."""

    name: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class ToolLine:
    """One tool call as the card shows it. `ok` is None while it runs."""

    call_id: str
    tool: str
    target: str
    ok: bool | None = None
    summary: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskCard:
    """Everything that the card, the summary and the final answer of one task need.

    Times are seconds since the epoch; `tools` keeps the newest calls only, `tool_count` all.
    `queued` is the place in the queue of those that wait to run, 0 when it does not wait.
    `question` is what it waits for a person to answer; `waited` is how long it has waited before.
    """

    task_id: str
    number: int
    started_at: float
    now: float
    phases: tuple[Phase, ...] = ()
    model: str = ""
    step: int = 0
    max_steps: int = 0
    tools: tuple[ToolLine, ...] = ()
    tool_count: int = 0
    files: tuple[FileChange, ...] = ()
    tokens: int = 0
    cost_usd: float | None = None
    waiting: str = ""
    answer: str = ""
    outcome: Outcome | None = None
    error: WireError | None = None
    running: bool = False
    queued: int = 0
    plan: tuple[PlanItem, ...] = ()
    question: QuestionAsked | None = None
    paused: bool = False
    waiting_since: float = 0.0
    waited: float = 0.0
    evidence: Evidence = NO_EVIDENCE

    @property
    def seconds(self) -> float:
        """The seconds that the task has worked, without the waits for people."""
        until = self.waiting_since or self.now
        return max(0.0, until - self.started_at - self.waited)

    @property
    def waits(self) -> bool:
        """Checks whether it waits for a person."""
        return self.running and (self.paused or self.question is not None)

    def cut_short(self, now: float) -> "TaskCard":
        """Returns the card of a task that ends without an event of the bridge."""
        ended = self.end_phase(now)
        return replace(
            ended._end_wait(now),  # noqa: SLF001  (the same class)
            outcome=self.outcome or Outcome.INTERRUPTED,
            running=False,
            waiting="",
        )

    def at(self, now: float) -> "TaskCard":
        """Returns the same card seen later."""
        return replace(self, now=max(now, self.now))

    def begin_phase(self, name: str, now: float) -> "TaskCard":
        """Starts a boot phase; the one before it ends."""
        return replace(self.end_phase(now), phases=(*self.end_phase(now).phases, Phase(name)))

    def end_phase(self, now: float) -> "TaskCard":
        """Ends the boot phase that runs, if one does."""
        if not self.phases or self.phases[-1].seconds is not None:
            return self.at(now)
        spent = now - self.started_at - sum(phase.seconds or 0.0 for phase in self.phases)
        ended = replace(self.phases[-1], seconds=max(0.0, spent))
        return replace(self.at(now), phases=(*self.phases[:-1], ended))

    def apply(self, event: AgentEvent) -> "TaskCard":
        """Returns the card after this event."""
        return self._after(event).at(event.at)

    def _after(self, event: AgentEvent) -> "TaskCard":  # noqa: C901, PLR0911, PLR0912  (a match over a closed union)
        match event:
            case TaskStarted():
                return replace(
                    self.end_phase(event.at),
                    model=event.model,
                    max_steps=event.max_steps,
                    running=True,
                )
            case StepStarted():
                return replace(self, step=event.step, max_steps=event.max_steps, waiting="")
            case ToolStarted():
                line = ToolLine(event.call_id, event.tool, event.target)
                return replace(
                    self, tools=(*self.tools, line)[-SHOWN_TOOLS:], tool_count=self.tool_count + 1
                )
            case ToolFinished():
                return replace(
                    self, tools=tuple(_finished(line, event) for line in self.tools), waiting=""
                )
            case FilesChanged():
                return replace(self, files=event.files)
            case UsageRecorded():
                return self._with_usage(event)
            case ModelRetried():
                wait = f"{event.error.message} Trying again in {event.wait_seconds:.0f} s "
                return replace(self, waiting=f"{wait}({event.attempt} of {event.max_attempts}).")
            case ModelChanged():
                return replace(self, model=event.model, waiting="")
            case ContextCompacted():
                return replace(self, waiting="")
            case MessageWritten():
                return replace(self, answer=event.text) if event.final else self
            case PlanUpdated():
                return replace(self, plan=event.items)
            case QuestionAsked():
                return replace(self, question=event, waiting_since=event.at)
            case TaskPaused():
                return replace(self, paused=True, waiting_since=event.at)
            case QuestionAnswered() | TaskResumed():
                return self._end_wait(event.at)
            case TaskFinished():
                return replace(
                    self._end_wait(event.at),
                    outcome=event.outcome,
                    error=event.error,
                    running=False,
                    waiting="",
                    evidence=event.evidence,
                )
            case _:
                return self

    def _end_wait(self, now: float) -> "TaskCard":
        """Returns the card of a task that waits for nobody any more."""
        if not self.waiting_since:
            return self
        waited = self.waited + max(0.0, now - self.waiting_since)
        return replace(self, question=None, paused=False, waiting_since=0.0, waited=waited)

    def _with_usage(self, event: UsageRecorded) -> "TaskCard":
        cost = self.cost_usd
        if event.cost_usd is not None:
            cost = (cost or 0.0) + event.cost_usd
        tokens = self.tokens + event.prompt_tokens + event.completion_tokens
        return replace(self, tokens=tokens, cost_usd=cost)


def _finished(line: ToolLine, event: ToolFinished) -> ToolLine:
    if line.call_id != event.call_id or line.ok is not None:
        return line
    return replace(line, ok=event.ok, summary=event.summary, seconds=event.duration_seconds)
