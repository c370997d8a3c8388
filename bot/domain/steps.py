"""Lists all steps of one task, with the arguments and the result of each tool call."""

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bridge.protocol import (
    AgentEvent,
    Outcome,
    StepStarted,
    TaskFinished,
    ToolFinished,
    ToolStarted,
)


@dataclass(frozen=True, slots=True)
class ToolStep:
    """One tool call, whole. `ok` is None while it runs."""

    step: int
    call_id: str
    tool: str
    target: str
    arguments: str
    ok: bool | None = None
    summary: str = ""
    result: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TaskSteps:
    """The steps of a task so far. `outcome` is None while it works; `at` is its newest event."""

    calls: tuple[ToolStep, ...] = ()
    steps: int = 0
    outcome: Outcome | None = None
    at: float = 0.0


def steps_of(events: Iterable[AgentEvent]) -> TaskSteps:
    """Returns the steps in the stored events of one task, in order."""
    calls: dict[str, ToolStep] = {}
    running: defaultdict[str, deque[str]] = defaultdict(deque)
    task = TaskSteps()
    for event in events:
        task = replace(task, at=event.at)
        match event:
            case StepStarted():
                task = replace(task, steps=event.step)
            case ToolStarted():
                # A model may give two calls the same id; the later one gets a row of its own.
                key = (
                    event.call_id if event.call_id not in calls else f"{event.call_id}#{event.seq}"
                )
                calls[key] = ToolStep(
                    task.steps, event.call_id, event.tool, event.target, event.arguments
                )
                running[event.call_id].append(key)
            case ToolFinished() if running[event.call_id]:
                # Of those with one id, the earliest that runs.
                key = running[event.call_id].popleft()
                calls[key] = replace(
                    calls[key],
                    ok=event.ok,
                    summary=event.summary,
                    result=event.result,
                    seconds=event.duration_seconds,
                )
            case TaskFinished():
                task = replace(task, outcome=event.outcome)
            case _:
                continue
    return replace(task, calls=tuple(calls.values()))
