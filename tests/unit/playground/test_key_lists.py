"""Events and answers hold the keys that Slack's have, and no invented ones."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from playground.event_feed import EventFeed
from playground.slack.arguments import CallArguments
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import BOT_USER_ID, Json, SlackMessage, View
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.web_api import METHODS

LISTS = json.loads((Path(__file__).parent / "slack_keys.json").read_text())
OPAQUE = {"blocks", "attachments", "files", "state", "shares", "metadata", "root", "reactions"}
# Seen in Slack's documentation or in recorded traffic, absent from the sampled lists.
ALSO_REAL = {
    "context_team_id",
    "context_enterprise_id",
    "event.app_id",
    "event.metadata",
    "enterprise",
    "state",
    "message.source_team",
    "message.user_team",
    "event.message.source_team",
    "event.message.user_team",
    "is_cleared",
    "is_enterprise_install",
    "has_more",
    "pin_count",
    "view.blocks",
    "event.view.blocks",
    "view.state",
    "message.blocks",
    "user.name",
    "user.username",
    "api_app_id",
}


def flat(value: Any, prefix: str = "") -> set[str]:
    if isinstance(value, list):
        value = value[0] if value else None
    found: set[str] = set()
    if isinstance(value, dict):
        for key, item in value.items():
            found.add(prefix + key)
            if key not in OPAQUE and key not in ("bot_profile", "profile"):
                found |= flat(item, f"{prefix}{key}.")
    return found


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorkspace]:
    slack = SlackWorkspace(SlackSettings(clock=lambda: 1_700_000_000.0), EventFeed())
    slack.trigger_tokens.base_url = "http://127.0.0.1:1"
    yield slack
    await slack.close()


def payloads(slack: SlackWorkspace) -> dict[str, Json]:
    ana = slack.state.user("ana")
    channel = slack.state.channel("general")
    blocks: list[Json] = [{"type": "rich_text", "block_id": "b", "elements": []}]
    message = SlackMessage(channel.id, "1.000100", ana.id, "hi", blocks, client_msg_id="c")
    slack.state.add(message)
    previous: Json = dict(slack.payloads.message(message)["event"])
    previous = {k: previous[k] for k in ("type", "user", "ts", "text", "team", "blocks")}
    text = {"type": "plain_text", "text": "Go", "emoji": True}
    view = View("V1", "modal", ana.id, {"title": text, "submit": text, "close": text}, "h", "V1")
    action = {"type": "button", "action_id": "a", "block_id": "b", "value": "v"}
    action |= {"text": text, "action_ts": "1.0"}  # type: ignore[dict-item]
    tokens = slack.trigger_tokens.both(ana.id, channel.id)
    make = slack.payloads
    made = {
        "message": make.message(message),
        "app_mention": make.app_mention(message),
        "message_deleted": make.message_deleted(message, previous, "2.0"),
        "reaction_added": make.reaction("reaction_added", ana.id, "eyes", message, "2.0"),
        "reaction_removed": make.reaction("reaction_removed", ana.id, "eyes", message, "2.0"),
        "app_home_opened": make.app_home_opened(ana.id, "D1", "home", view),
        "slash_command": make.slash_command(ana, channel, "/agent", "x", tokens),
        "block_actions": make.message_actions(ana, message, action, tokens),
        "view_submission": make.view_submission(ana, view, "t"),
        "view_closed": make.view_closed(ana, view),
        "message_action": make.message_shortcut(ana, message, "stop", tokens),
        "shortcut": make.global_shortcut(ana, "stop", "t"),
    }
    message.edited = {"user": ana.id, "ts": "2.0"}
    made["message_changed"] = make.message_changed(message, previous, "2.0")
    reply = SlackMessage(channel.id, "1.000200", ana.id, "to all", blocks, client_msg_id="d")
    reply.thread_ts, reply.subtype = message.ts, "thread_broadcast"
    slack.state.add(reply)
    made["thread_broadcast"] = make.message(reply)
    return made


@pytest.mark.parametrize("name", sorted(LISTS["required"]))
async def test_a_payload_has_every_key_of_a_real_one(slack: SlackWorkspace, name: str) -> None:
    missing = set(LISTS["required"][name].split()) - flat(payloads(slack)[name])
    assert missing == set()


@pytest.mark.parametrize("name", sorted(set(LISTS["required"]) - {"message_action", "shortcut"}))
async def test_a_payload_has_no_invented_key(slack: SlackWorkspace, name: str) -> None:
    invented = flat(payloads(slack)[name]) - set(LISTS["known"][name].split()) - ALSO_REAL
    assert invented == set()


MODAL: Json = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "T"},
    "blocks": [{"type": "divider"}],
}
VIEW_KEYS = (
    "ok view view.id view.team_id view.type view.title view.title.type view.title.text "
    "view.title.emoji view.submit view.close view.blocks view.private_metadata view.callback_id "
    "view.state view.hash view.clear_on_close view.notify_on_close view.root_view_id "
    "view.previous_view_id view.app_id view.bot_id view.external_id view.app_installed_team_id"
)
ANSWERS: dict[str, dict[str, Any]] = {
    "auth.test": {},
    "chat.postMessage": {"channel": "C0GENERAL0", "text": "x"},
    "chat.update": {"channel": "C0GENERAL0", "ts": "TS", "text": "y"},
    "chat.postEphemeral": {"channel": "C0GENERAL0", "user": "U00000ANA", "text": "x"},
    "chat.getPermalink": {"channel": "C0GENERAL0", "message_ts": "TS"},
    "reactions.add": {"channel": "C0GENERAL0", "timestamp": "TS", "name": "eyes"},
    "conversations.replies": {"channel": "C0GENERAL0", "ts": "TS"},
    "conversations.info": {"channel": "C0GENERAL0"},
    "reactions.remove": {"channel": "C0GENERAL0", "timestamp": "TS", "name": "tada"},
    "users.info": {"user": "U00000ANA"},
    "views.open": {"trigger_id": "TRIGGER", "view": MODAL},
    "views.update": {"view_id": "VIEW", "view": MODAL},
    "files.completeUploadExternal": {},
    "views.publish": {"user_id": "U00000ANA", "view": {"type": "home", "blocks": []}},
    "apps.connections.open": {},
    "files.getUploadURLExternal": {"filename": "a.txt", "length": "3"},
    "chat.delete": {"channel": "C0GENERAL0", "ts": "TS"},
}
NEEDED = {
    "auth.test": "ok url team user team_id user_id bot_id is_enterprise_install",
    "chat.postMessage": "ok channel ts message message.bot_id message.type message.text "
    "message.user message.ts message.team message.bot_profile message.app_id message.blocks",
    "chat.update": "ok channel ts text message message.edited message.edited.user message.bot_id",
    "chat.postEphemeral": "ok message_ts",
    "chat.getPermalink": "ok permalink channel",
    "reactions.add": "ok",
    "conversations.replies": "ok messages messages.type messages.user messages.ts messages.text "
    "messages.team messages.bot_id messages.bot_profile has_more",
    "conversations.info": "ok channel channel.id channel.name channel.is_channel channel.is_im "
    "channel.is_member channel.is_private channel.is_mpim channel.is_archived channel.topic "
    "channel.purpose channel.creator channel.created channel.is_ext_shared",
    "reactions.remove": "ok",
    "views.open": VIEW_KEYS,
    "views.update": VIEW_KEYS,
    "files.completeUploadExternal": "ok files",
    "users.info": "ok user user.id user.name user.real_name user.profile user.is_bot "
    "user.is_restricted user.is_ultra_restricted user.tz user.deleted user.is_admin user.updated",
    "views.publish": "ok view view.id view.hash view.type view.team_id view.root_view_id",
    "apps.connections.open": "ok url",
    "files.getUploadURLExternal": "ok upload_url file_id",
    "chat.delete": "ok channel ts",
}


@pytest.mark.parametrize("name", sorted(ANSWERS))
async def test_an_answer_has_the_keys_of_a_real_one_and_no_invented_ones(
    slack: SlackWorkspace, name: str
) -> None:
    posted = await METHODS["chat.postMessage"].run(
        slack, CallArguments({"channel": "C0GENERAL0", "text": "first"})
    )
    if name == "reactions.remove":
        posts = slack.state.channels["C0GENERAL0"].messages
        slack.react(posts[posted["ts"]], BOT_USER_ID, "tada")
    view = await METHODS["views.open"].run(
        slack,
        CallArguments({"trigger_id": slack.trigger_tokens.trigger("U00000BEN"), "view": MODAL}),
    )
    upload = await METHODS["files.getUploadURLExternal"].run(
        slack, CallArguments({"filename": "b.txt", "length": "1"})
    )
    slack.state.files[upload["file_id"]].content = b"x"
    stand_ins = {"TS": posted["ts"], "TRIGGER": slack.trigger_tokens.trigger("U00000ANA")}
    stand_ins |= {"VIEW": view["view"]["id"]}
    filled = {k: stand_ins.get(v, v) if isinstance(v, str) else v for k, v in ANSWERS[name].items()}
    if name == "files.completeUploadExternal":
        filled = {"files": [{"id": upload["file_id"]}]}
    answer = flat(await METHODS[name].run(slack, CallArguments(filled)))
    assert set(NEEDED[name].split()) - answer == set()
    assert answer - set(LISTS["known"][name].split()) - ALSO_REAL == set()
