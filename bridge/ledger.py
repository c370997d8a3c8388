"""What the events add up to: the workspace, the tasks, the step, the usage."""

from bridge.protocol import (
    Event,
    MessageTakenUp,
    ModelChanged,
    StepStarted,
    TaskFinished,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    Usage,
    UsageRecorded,
    WorkspaceReadyEvent,
)


class Ledger:
    """A running account of the event log; the same after a restart as before it."""

    def __init__(self) -> None:
        self.workspace: WorkspaceReadyEvent | None = None
        self.model: str | None = None
        self.max_steps = 0
        self.step = 0
        self.usage = Usage()
        self.running: TaskStarted | None = None
        self.open_tool: ToolStarted | None = None
        self.first_seq: dict[str, int] = {}
        self.taken_messages: set[str] = set()

    def enter(self, event: Event) -> None:
        """Count one more event in; types that change nothing here are passed over."""
        match event:
            case WorkspaceReadyEvent():
                self.workspace = event
            case TaskStarted():
                self.running, self.open_tool = event, None
                self.model, self.max_steps, self.step = event.model, event.max_steps, 0
                self.first_seq[str(event.task_id)] = event.seq
            case MessageTakenUp():
                self.taken_messages.add(event.message_id)
            case StepStarted():
                self.step = event.step
            case ModelChanged():
                self.model = event.model
            case ToolStarted():
                self.open_tool = event
            case ToolFinished():
                self.open_tool = None
            case UsageRecorded():
                self.usage = _sum(self.usage, event)
            case TaskFinished():
                self.running = None
            case _:
                pass


def _sum(usage: Usage, call: UsageRecorded) -> Usage:
    cost = usage.cost_usd
    if call.cost_usd is not None:
        cost = (cost or 0.0) + call.cost_usd
    return Usage(
        model_calls=usage.model_calls + 1,
        prompt_tokens=usage.prompt_tokens + call.prompt_tokens,
        completion_tokens=usage.completion_tokens + call.completion_tokens,
        cached_tokens=usage.cached_tokens + call.cached_tokens,
        reasoning_tokens=usage.reasoning_tokens + call.reasoning_tokens,
        cost_usd=cost,
    )
