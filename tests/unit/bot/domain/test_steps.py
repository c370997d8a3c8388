from bot.domain.steps import steps_of
from bridge.protocol import (
    AgentEvent,
    Outcome,
    StepStarted,
    TaskFinished,
    ToolFinished,
    ToolStarted,
)
from tests.hostile.growth import TIMES_SLOWER, growth


def started(seq: int, call_id: str = "c1") -> ToolStarted:
    return ToolStarted(
        seq=seq, at=1.0, call_id=call_id, tool="run_command", target="pytest", arguments='{"a": 1}'
    )


def finished(seq: int, call_id: str = "c1", *, ok: bool = True) -> ToolFinished:
    return ToolFinished(
        seq=seq, at=2.0, call_id=call_id, tool="run_command", target="pytest", ok=ok,
        summary="exit 1", duration_seconds=6.2, result=f"output {seq}",
    )  # fmt: skip


def test_every_call_has_its_arguments_and_its_result() -> None:
    events: list[AgentEvent] = [
        StepStarted(seq=1, at=1.0, step=1, max_steps=15),
        started(2),
        finished(3, ok=False),
        StepStarted(seq=4, at=3.0, step=2, max_steps=15),
        started(5, "c2"),
    ]
    found = steps_of(events)
    assert [(c.step, c.arguments, c.result, c.ok) for c in found.calls] == [
        (1, '{"a": 1}', "output 3", False),
        (2, '{"a": 1}', "", None),
    ]
    assert (found.steps, found.outcome, found.at) == (2, None, 1.0)
    ended = TaskFinished(seq=6, at=9.0, outcome=Outcome.FAILED, steps=2, duration_seconds=8.0)
    assert steps_of([*events, ended]).outcome is Outcome.FAILED


def test_the_same_id_twice_is_two_calls() -> None:
    found = steps_of([started(1), finished(2), started(3), finished(4), finished(5, "unknown")])
    assert [call.result for call in found.calls] == ["output 2", "output 4"]


def test_the_time_grows_as_the_events_do() -> None:
    def events(count: int) -> list[AgentEvent]:
        calls = range(1, count + 1)
        return [*map(started, calls), *(finished(count + number) for number in calls)]

    assert growth(steps_of, events, 800) < TIMES_SLOWER
