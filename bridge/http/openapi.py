"""Describes the bridge's routes as OpenAPI, from the models that they read and answer.

`python -m bridge.http.openapi` writes the description, which is kept in docs/openapi.json.
"""

import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import (
    GenerateJsonSchema,
    JsonSchemaMode,
    JsonSchemaValue,
    models_json_schema,
)

from bridge.http.routes import BYTES, EVENTS, PATCH, ROUTES, Route
from bridge.http.server import INTERNAL_STATUS, STATUS_OF
from bridge.http.streams import MAX_STREAMS
from bridge.protocol import BODY_SECONDS, KNOWN_EVENTS, PROTOCOL_VERSION, ErrorCode, WireError

_Names = dict[Any, JsonSchemaValue]  # the key is a model and a mode

_JSON = "application/json"
_REF = "#/components/schemas/"
_UNAUTHORIZED, _SWITCHED = 401, 101
_ABOUT = (
    "What the bot asks of the bridge in an agent's container, over TCP or a unix socket. Every "
    "error is an `Error` in JSON, with a code of the closed set `ErrorCode`. A body is read as "
    "what the route says, whatever its Content-Type, and the last of two equal keys counts. What "
    "is no HTTP is answered with 400 in plain text."
)
_STREAM = (
    "Server-sent events. `event` is the type and `data` an `AgentEvent` in JSON; `id` is its "
    "number, which events that are only passing by (`text_delta`, `tool_output`) do not have. A "
    "comment comes when nothing else does. The events of a task end with `task_finished`."
)
_SOCKET = "The WebSocket is open. Each text message is one `AgentEvent` in JSON."

# Status and code: what any route may answer, what any with a body, what any that streams.
_ALWAYS = ((INTERNAL_STATUS, ErrorCode.INTERNAL),)
_WITH_A_TOKEN = ((_UNAUTHORIZED, ErrorCode.UNAUTHORIZED),)
_WITH_A_BODY = tuple((status, ErrorCode.INVALID_REQUEST) for status in (400, 408, 413))
_WITH_A_STREAM = tuple((status, ErrorCode.INVALID_REQUEST) for status in (400, 503))
_WHEN = {
    400: "The request is not of this shape, or asks for what cannot be.",
    401: "This needs the token of this agent.",
    404: "There is no such thing.",
    408: f"The body took longer than {BODY_SECONDS:.0f} seconds.",
    409: "Not in the state that the workspace is in.",
    413: "The body is too large.",
    422: "The answer would be too large.",
    429: "Too many messages are waiting already.",
    500: "The bridge failed inside.",
    502: "The repository could not be cloned.",
    503: f"{MAX_STREAMS} streams are open already. It passes.",
    504: "The clone took too long.",
    507: "The disk is full.",
}

_PLACE_SCHEMA = {"type": "string", "pattern": "^[0-9]{1,15}$"}
_PARAMETERS = {
    "id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The message_id of a chat, or the task_id of the first task.",
        "schema": {"type": "string", "minLength": 1},
    },
    "question_id": {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "The question_id of `question_asked`.",
        "schema": {"type": "string", "minLength": 1},
    },
    "name": {
        "name": "name",
        "in": "path",
        "required": True,
        "description": "The file's name.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}$"},
    },
    "after": {
        "name": "after",
        "in": "query",
        "description": "The number of the last event that the reader has.",
        "schema": _PLACE_SCHEMA,
    },
    "last_event_id": {
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The same; it goes first where both are there.",
        "schema": _PLACE_SCHEMA,
    },
}


def describe() -> dict[str, Any]:
    """Returns the whole description, OpenAPI 3.1."""
    names, schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    shared: dict[str, Any] = {}
    for route in ROUTES:
        described = _described(route, names)
        described["responses"] |= _errors(route, shared)
        paths.setdefault(route.path, {})[route.method] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Threadsmith bridge",
            "version": str(PROTOCOL_VERSION),
            "description": _ABOUT,
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "parameters": _PARAMETERS,
            "responses": dict(sorted(shared.items())),
            "schemas": schemas,
        },
    }


def _described(route: Route, names: _Names) -> dict[str, Any]:
    description: dict[str, Any] = {"summary": route.does}
    if not route.needs_token:
        description["security"] = []
    if route.parameters:
        description["parameters"] = [
            {"$ref": f"#/components/parameters/{name}"} for name in route.parameters
        ]
    if route.request is not None:
        description["requestBody"] = {
            # No bytes are an empty patch or an empty file.
            "required": route.request not in (PATCH, BYTES),
            "content": _content(route.request, names, "validation"),
        }
    description["responses"] = _answers(route, names)
    return description


def _answers(route: Route, names: _Names) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if route.streams:
        answers["200"] = {"description": _STREAM, "content": _content(EVENTS, names, "validation")}
    if route.status == _SWITCHED:
        return {str(_SWITCHED): {"description": _SOCKET}}
    content = _content(route.answer, names, "serialization")
    description = _STREAM if route.answer == EVENTS else "Done."
    answers[str(route.status)] = {"description": description, "content": content}
    return answers


def _errors(route: Route, shared: dict[str, Any]) -> dict[str, Any]:
    """Returns references to the errors of a route, and adds those to the shared ones."""
    errors = [(STATUS_OF.get(code, INTERNAL_STATUS), code) for code in route.errors]
    errors += _ALWAYS
    errors += _WITH_A_TOKEN if route.needs_token else ()
    errors += _WITH_A_BODY if route.request is not None else ()
    errors += _WITH_A_STREAM if route.streams else ()
    references: dict[str, Any] = {}
    for status in sorted({status for status, _ in errors}):
        codes = sorted({code.value for at, code in errors if at == status})
        code = {"properties": {"code": {"enum": codes}}}
        schema = {"allOf": [{"$ref": f"{_REF}Error"}, {"properties": {"error": code}}]}
        name = "-".join([str(status), *codes])
        shared[name] = {"description": _WHEN[status], "content": {_JSON: {"schema": schema}}}
        references[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return references


def _content(shape: type[BaseModel] | str, names: _Names, mode: JsonSchemaMode) -> dict[str, Any]:
    match shape:
        case str() if shape == EVENTS:
            return {EVENTS: {"schema": {"$ref": f"{_REF}StreamedEvent"}}}
        case str():
            return {shape: {"schema": {"type": "string", "format": "binary"}}}
        case _:
            return {_JSON: {"schema": names[shape, mode]}}


class _Plain(GenerateJsonSchema):
    """Makes schemas without a title for each field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002  (pydantic's)
        return False


def _schemas() -> tuple[_Names, dict[str, Any]]:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    for route in ROUTES:
        if isinstance(route.request, type):
            wanted.append((route.request, "validation"))
        if isinstance(route.answer, type):
            wanted.append((route.answer, "serialization"))
    wanted += [(event, "serialization") for event in KNOWN_EVENTS]
    wanted.append((WireError, "serialization"))
    names, described = models_json_schema(
        list(dict.fromkeys(wanted)), ref_template=_REF + "{model}", schema_generator=_Plain
    )
    schemas = described["$defs"]
    # A reader takes any code, because a newer bridge may have more; this bridge has these.
    schemas["ErrorCode"] = {"type": "string", "enum": [code.value for code in ErrorCode]}
    schemas["WireError"]["properties"]["code"] = {"$ref": f"{_REF}ErrorCode"}
    schemas["Error"] = {
        "type": "object",
        "properties": {"error": {"$ref": f"{_REF}WireError"}},
        "required": ["error"],
    }
    kinds = {event.model_fields["type"].default: event.__name__ for event in KNOWN_EVENTS}
    schemas["AgentEvent"] = {
        "oneOf": [{"$ref": _REF + name} for name in kinds.values()],
        "discriminator": {
            "propertyName": "type",
            "mapping": {kind: _REF + name for kind, name in kinds.items()},
        },
    }
    schemas["StreamedEvent"] = {
        "type": "object",
        "properties": {
            "id": _PLACE_SCHEMA,
            "event": {"type": "string", "enum": list(kinds)},
            "data": {
                "type": "string",
                "contentMediaType": _JSON,
                "contentSchema": {"$ref": f"{_REF}AgentEvent"},
            },
        },
        "required": ["event", "data"],
    }
    return names, dict(sorted(schemas.items()))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(describe(), indent=2) + "\n")
