"""The manifest against Slack's limits, and in step with what the code listens to and calls."""

import inspect
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from slack_sdk.web.async_client import AsyncWebClient

ROOT = Path(__file__).parents[2]
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "manifest.yml").read_text())
SLACK = "\n".join(path.read_text() for path in sorted((ROOT / "bot/slack").rglob("*.py")))
CALLERS = SLACK + (ROOT / "bot/app/serve.py").read_text()


def text(most: int, least: int = 1) -> dict[str, Any]:
    return {"type": "string", "minLength": least, "maxLength": most}


def only(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def listed(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most, "minItems": 1, "uniqueItems": True}


BOOLEAN = {"type": "boolean"}
URL = {"type": "string", "pattern": "^https://"}
SCHEMA = only(
    "display_information",
    _metadata=only("", major_version={"enum": [1, 2]}, minor_version={"type": "integer"}),
    display_information=only(
        "name",
        name=text(35),
        description=text(140),
        long_description=text(4_000, 175),
        background_color={"type": "string", "pattern": "^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"},
    ),
    features=only(
        "",
        bot_user=only(
            "display_name",
            display_name={**text(80), "pattern": "^[a-z0-9._-]+$"},
            always_online=BOOLEAN,
        ),
        app_home=only(
            "",
            home_tab_enabled=BOOLEAN,
            messages_tab_enabled=BOOLEAN,
            messages_tab_read_only_enabled=BOOLEAN,
        ),
        agent_view=only("agent_description", agent_description=text(300)),
        slash_commands=listed(
            only(
                "command description",
                command={**text(32), "pattern": "^/"},
                description=text(2_000),
                usage_hint=text(1_000),
                should_escape=BOOLEAN,
                url=URL,
            ),
            50,
        ),
        shortcuts=listed(
            only(
                "name callback_id description type",
                name=text(24),
                callback_id=text(255),
                description=text(150),
                type={"enum": ["message", "global"]},
            ),
            10,
        ),
    ),
    oauth_config=only(
        "", scopes=only("", bot=listed(text(100), 255), bot_optional=listed(text(100), 255))
    ),
    settings=only(
        "",
        event_subscriptions=only("", bot_events=listed(text(100), 100), request_url=URL),
        interactivity=only("is_enabled", is_enabled=BOOLEAN, request_url=URL),
        org_deploy_enabled=BOOLEAN,
        socket_mode_enabled=BOOLEAN,
        token_rotation_enabled=BOOLEAN,
    ),
)

EVENT_SCOPES = {
    "app_mention": "app_mentions:read",
    "message.channels": "channels:history",
    "message.groups": "groups:history",
    "message.im": "im:history",
    "message.mpim": "mpim:history",
    "reaction_added": "reactions:read",
}
# Events that need no scope of their own.
FREE_EVENTS = {"app_home_opened"}
# Those of features that a person switches on, by the comments of the manifest.
OPTIONAL_EVENTS = {"agent_session_stopped"}
HISTORIES = {"channels:history", "groups:history", "im:history", "mpim:history"}
METHOD_SCOPES: dict[str, set[str]] = {
    "auth_test": set(),
    "api_test": set(),
    "apps_connections_open": set(),
    "conversations_join": set(),  # only tried: a person invites the bot
    "views_open": set(),
    "views_push": set(),
    "views_publish": set(),
    "views_update": set(),
    "users_info": {"users:read"},
    # Not im:read: whoever is in a direct message has started its agents.
    "conversations_info": {"channels:read", "groups:read", "mpim:read"},
    "conversations_members": {"channels:read", "groups:read", "mpim:read"},
    "api_call": set(),
    "agents_sessions_setStatus": {"chat:write"},
    "chat_postMessage": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_update": {"chat:write"},
    "conversations_replies": HISTORIES,
    "conversations_history": HISTORIES,
    "reactions_add": {"reactions:write"},
    "reactions_remove": {"reactions:write"},
    "conversations_open": {"im:write"},
    "files_getUploadURLExternal": {"files:write"},
    "files_completeUploadExternal": {"files:write"},
    "files_info": {"files:read"},
}
SCOPES = set(MANIFEST["oauth_config"]["scopes"]["bot"])
EVENTS = set(MANIFEST["settings"]["event_subscriptions"]["bot_events"])


def test_the_manifest_is_within_slacks_limits() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(MANIFEST, SCHEMA)


def test_with_its_optional_parts_the_manifest_is_within_slacks_limits_too() -> None:
    lines = (ROOT / "manifest.yml").read_text().splitlines()
    optional = re.compile(r"^(\s*)# (agent_view:|  agent_description:|- agent_session_stopped)")
    taken_in = "\n".join(optional.sub(r"\1\2", line) for line in lines)
    manifest = yaml.safe_load(taken_in)
    jsonschema.validate(manifest, SCHEMA)
    assert manifest["features"]["agent_view"]["agent_description"]
    assert "agent_session_stopped" in manifest["settings"]["event_subscriptions"]["bot_events"]


@pytest.mark.parametrize(
    "change",
    [
        {"display_information": {"name": "x" * 36}},
        {"settings": {"foo": True}},
        {"features": {"code_channels": {}}},
        {"display_information": {"name": "x", "background_color": "blue"}},
    ],
)
def test_the_schema_refuses_what_slack_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(MANIFEST | change, SCHEMA)


def test_every_subscribed_event_has_a_listener_and_the_other_way_round() -> None:
    heard = set(re.findall(r'app\.event\("(\w+)"\)', SLACK))
    assert heard - OPTIONAL_EVENTS == {event.partition(".")[0] for event in EVENTS}
    commented = (ROOT / "manifest.yml").read_text()
    assert all(f"# - {event} " in commented for event in OPTIONAL_EVENTS)


def test_every_subscribed_event_has_its_scope() -> None:
    assert {EVENT_SCOPES[event] for event in EVENTS - FREE_EVENTS} <= SCOPES


def test_every_command_and_shortcut_has_a_listener_and_the_other_way_round() -> None:
    features = MANIFEST["features"]
    commands = {item["command"] for item in features["slash_commands"]}
    assert set(re.findall(r'app\.command\("([^"]+)"\)', SLACK)) == commands
    shortcuts = {item["callback_id"] for item in features["shortcuts"]}
    named = dict(re.findall(r'^(\w*SHORTCUT) = "(\w+)"', SLACK, re.MULTILINE))
    assert set(named.values()) == shortcuts
    assert sorted(re.findall(r"app\.shortcut\((\w+)\)", SLACK)) == sorted(named)
    assert "commands" in SCOPES


def called() -> set[str]:
    named = set(re.findall(r"client\.([a-z]+_\w+)", CALLERS))
    return {n for n in named if inspect.iscoroutinefunction(getattr(AsyncWebClient, n, None))}


def test_every_method_that_is_called_has_its_scopes() -> None:
    assert called() <= set(METHOD_SCOPES)
    for method in called():
        assert METHOD_SCOPES[method] <= SCOPES, method


def test_no_scope_is_asked_for_without_a_use() -> None:
    used = {"commands"} | {EVENT_SCOPES[event] for event in EVENTS - FREE_EVENTS}
    used |= {scope for method in called() for scope in METHOD_SCOPES[method]}
    assert used == SCOPES


def test_interactivity_is_on_because_the_code_needs_it() -> None:
    assert re.search(r"app\.(action|view|shortcut)\(", SLACK)
    assert MANIFEST["settings"]["interactivity"]["is_enabled"]
    assert MANIFEST["settings"]["socket_mode_enabled"]
