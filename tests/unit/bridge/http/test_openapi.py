import json
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator
from pydantic import SecretStr

from bridge.agent.session import Session
from bridge.http.connections import ConnectionGuard
from bridge.http.openapi import describe
from bridge.http.routes import ROUTES
from bridge.http.server import STATUS_OF, create_app
from bridge.protocol import KNOWN_EVENTS, ErrorCode

KEPT = Path(__file__).parents[4] / "docs" / "openapi.json"


def test_the_kept_description_is_up_to_date() -> None:
    assert json.loads(KEPT.read_text()) == describe(), "run `make openapi`"


class NoSession:
    """A session that is asked for nothing: only the routes over it are looked at."""

    events = None
    is_over = None


def test_every_route_of_the_server_is_described_and_no_other() -> None:
    token = SecretStr("canary-bridge-token")
    app = create_app(cast(Session, NoSession()), token, connections=ConnectionGuard())
    served = {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
    }
    assert served == {(item.method, item.path) for item in ROUTES}


def test_every_reference_leads_somewhere_and_every_part_is_used() -> None:
    described = describe()
    used = set(_references(described))
    there = {
        f"#/components/{kind}/{name}"
        for kind, parts in described["components"].items()
        for name in parts
    }
    assert used <= there
    assert there - used == {"#/components/securitySchemes/token"}


def test_every_schema_is_one() -> None:
    for schema in describe()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_only_health_goes_without_the_token() -> None:
    without = [item.path for item in ROUTES if not item.needs_token]
    assert without == ["/health"]
    for path, methods in describe()["paths"].items():
        for operation in methods.values():
            assert (operation.get("security") == []) is (path == "/health")
            assert ("401" in operation["responses"]) is (path != "/health")


def test_the_codes_are_the_closed_set() -> None:
    schemas = describe()["components"]["schemas"]
    assert schemas["ErrorCode"]["enum"] == [code.value for code in ErrorCode]
    told = {code for item in ROUTES for code in item.errors}
    own = {ErrorCode.INVALID_REQUEST}  # of every route that reads something
    assert set(STATUS_OF) == told | own


def test_every_event_is_described_by_its_type() -> None:
    events = describe()["components"]["schemas"]["AgentEvent"]
    assert len(events["oneOf"]) == len(events["discriminator"]["mapping"]) == len(KNOWN_EVENTS)


def test_streams_are_event_streams() -> None:
    streaming = [item for item in ROUTES if item.streams]
    assert {item.path for item in streaming} == {
        *("/agent/execute", "/agent/chat", "/agent/events", "/agent/ws"),
    }
    for item in streaming:
        answers = describe()["paths"][item.path][item.method]["responses"]
        assert "101" in answers or "text/event-stream" in answers["200"]["content"]


def _references(part: Any) -> list[str]:
    match part:
        case dict():
            own = [value for key, value in part.items() if key == "$ref"]
            own += list(part.get("mapping", {}).values()) if "propertyName" in part else []
            return own + [found for value in part.values() for found in _references(value)]
        case list():
            return [found for value in part for found in _references(value)]
        case _:
            return []
