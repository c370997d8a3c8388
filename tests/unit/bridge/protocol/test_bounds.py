"""No value of the wire is without a bound, and no number of it is infinite or none."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from bridge.protocol import (
    KNOWN_EVENTS,
    Accepted,
    Answered,
    AnswerRequest,
    Attached,
    ChatRequest,
    CheckRecorded,
    Diff,
    Event,
    ExecuteRequest,
    Health,
    MessageEdit,
    Pushed,
    PushRequest,
    Revised,
    SavedConversation,
    Status,
    StepStarted,
    TaskRequest,
    ToolEnvironment,
    Undone,
    UnknownEvent,
    UsageRecorded,
    WireError,
    WorkspaceReady,
    WorkspaceRequest,
    parse_event,
)

MODELS: tuple[type[BaseModel], ...] = (
    *KNOWN_EVENTS, UnknownEvent, Accepted, Answered, AnswerRequest, Attached, ChatRequest, Diff,
    ExecuteRequest, Health, MessageEdit, Pushed, PushRequest, Revised, SavedConversation, Status,
    TaskRequest, ToolEnvironment, Undone, WireError, WorkspaceReady, WorkspaceRequest,
)  # fmt: skip
# The size of the whole body bounds these.
BY_THE_BODY = {
    "Diff.text",
    "SavedConversation.messages",
    "SavedConversation.results",
    "SavedConversation.waiting",
}
GOLDEN = Path(__file__).parents[3] / "golden" / "events"
NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 40, "-1" + "0" * 40)


def unbounded(name: str, schema: Any) -> Iterator[str]:
    """Yield the places of a JSON schema that have no bound."""
    if isinstance(schema, list):
        for item in schema:
            yield from unbounded(name, item)
    if not isinstance(schema, dict):
        return
    kind, is_closed = schema.get("type"), {"enum", "const"} & set(schema)
    if kind in {"integer", "number"} and not {"minimum", "maximum"} <= set(schema):
        yield name
    if kind == "string" and not is_closed and "maxLength" not in schema:
        yield name
    if kind == "array" and "maxItems" not in schema:
        yield name
    for key, value in schema.get("properties", {}).items():
        yield from unbounded(f"{name}.{key}", value)
    for key in ("anyOf", "allOf", "oneOf", "items"):
        yield from unbounded(name, schema.get(key))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_number_string_and_list_has_a_bound(model: type[BaseModel]) -> None:
    schema = model.model_json_schema()
    parts = {model.__name__: schema, **schema.get("$defs", {})}
    places = {place for name, part in parts.items() for place in unbounded(name, part)}
    assert places <= BY_THE_BODY


def numbers(name: str) -> Iterator[tuple[str, str]]:
    """Yield each number of an event's golden file, as the file with a hole in place of it."""
    body = json.loads((GOLDEN / name).read_text())
    hole = "a number goes here"

    def holes(value: Any) -> Iterator[tuple[str, Any]]:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(item, int | float) and not isinstance(item, bool):
                value[key] = hole
                yield str(key), value
                value[key] = item
            elif isinstance(item, dict | list):
                yield from holes(item)

    for key, _ in holes(body):
        yield key, json.dumps(body).replace(f'"{hole}"', "%s")


HOLES = [
    pytest.param(text, id=f"{path.stem}-{key}-{number}")
    for path in sorted(GOLDEN.iterdir())
    for number, (key, text) in enumerate(numbers(path.name))
]


@pytest.mark.parametrize("text", HOLES)
def test_what_is_no_number_and_what_is_too_large_is_refused(text: str) -> None:
    for number in NO_NUMBERS:
        with pytest.raises(ValidationError):
            parse_event(text % number)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_the_writer_refuses_what_the_reader_refuses(number: float) -> None:
    body = json.loads((GOLDEN / "check_recorded.json").read_text())
    body["check"]["duration_seconds"] = number
    with pytest.raises(ValidationError):
        CheckRecorded.model_validate(body)
    with pytest.raises(ValidationError):
        UsageRecorded(model="m", cost_usd=number)
    with pytest.raises(ValidationError):
        StepStarted(at=number, step=1, max_steps=2)


def test_a_clock_that_was_set_back_loses_no_event() -> None:
    body: dict[str, Any] = json.loads((GOLDEN / "task_finished.json").read_text())
    event: Event = parse_event(json.dumps(body | {"duration_seconds": -3_600.0}))
    assert event.model_dump()["duration_seconds"] == -3_600.0
