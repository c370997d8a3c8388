"""Slack's JSON objects, made from the workspace's data."""

import copy
import mimetypes
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from playground.slack.slack_state import (
    APP_ID,
    BOT_ID,
    BOT_USER_ID,
    CREATED,
    TEAM_ID,
    Channel,
    File,
    Json,
    SlackMessage,
    SlackState,
    User,
    View,
)

MENTION = re.compile(r"<@([UW][A-Z0-9]+)(?:\|[^>]*)?>")
PREVIEW_CHARS = 1_000
ICON = "https://playground.invalid/icons/threadsmith_{}.png"


def bot_profile() -> Json:
    return {
        "id": BOT_ID,
        "deleted": False,
        "name": "threadsmith",
        "updated": CREATED,
        "app_id": APP_ID,
        "icons": {f"image_{size}": ICON.format(size) for size in (36, 48, 72)},
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
    }


def rich_text(text: str, block_id: str) -> Json:
    """The rich_text block that Slack adds to a message without blocks."""
    elements: list[Json] = []
    position = 0
    for mention in MENTION.finditer(text):
        if mention.start() > position:
            elements.append({"type": "text", "text": text[position : mention.start()]})
        elements.append({"type": "user", "user_id": mention.group(1)})
        position = mention.end()
    if position < len(text):
        elements.append({"type": "text", "text": text[position:]})
    section = {"type": "rich_text_section", "elements": elements}
    return {"type": "rich_text", "block_id": block_id, "elements": [section]}


def message_object(state: SlackState, message: SlackMessage, *, metadata: bool = False) -> Json:
    """A message as history, events and answers show it."""
    shown: Json = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "text": message.text,
        "team": TEAM_ID,
        "blocks": message.blocks,
    }
    if message.bot_id:
        shown |= {"bot_id": message.bot_id, "app_id": APP_ID, "bot_profile": bot_profile()}
    optional = {
        "client_msg_id": message.client_msg_id,
        "subtype": message.subtype,
        "attachments": message.attachments,
        "edited": message.edited,
        "metadata": message.metadata if metadata else None,
    }
    shown |= {key: value for key, value in optional.items() if value}
    if message.files:
        files = [file_object(state, state.files[file_id]) for file_id in message.files]
        shown |= {"files": files, "upload": False, "display_as_bot": False}
    if message.reactions:
        shown["reactions"] = reactions(message)
    return shown | _thread_fields(state, message)


def reactions(message: SlackMessage) -> list[Json]:
    return [
        {"name": name, "users": list(users), "count": len(users)}
        for name, users in message.reactions.items()
    ]


def _thread_fields(state: SlackState, message: SlackMessage) -> Json:
    channel = state.channels[message.channel]
    if message.is_reply:
        root = channel.messages.get(message.thread_ts or "")
        parent = {"parent_user_id": root.user} if root else {}
        return {"thread_ts": message.thread_ts, **parent}
    replies = channel.replies(message.ts)
    if not replies:
        return {}
    users = list(dict.fromkeys(reply.user for reply in replies))
    return {
        "thread_ts": message.ts,
        "reply_count": len(replies),
        "reply_users_count": len(users),
        "latest_reply": replies[-1].ts,
        "reply_users": users,
        "is_locked": False,
        "subscribed": BOT_USER_ID in users or message.user == BOT_USER_ID,
    }


def user_object(user: User) -> Json:
    images: dict[str, Any] = {
        f"image_{size}": ICON.format(size) for size in (24, 32, 48, 72, 192, 512)
    }
    profile = images | {
        "title": "",
        "phone": "",
        "skype": "",
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "status_text": "",
        "status_emoji": "",
        "status_expiration": 0,
        "avatar_hash": "g0",
        "team": user.team_id,
    }
    if user.is_bot:
        profile |= {"api_app_id": APP_ID, "bot_id": BOT_ID, "always_active": True}
    else:
        first, _, last = user.real_name.partition(" ")
        profile |= {"email": user.email, "first_name": first, "last_name": last}
    return {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "deleted": user.is_deleted,
        "is_stranger": user.team_id != TEAM_ID,
        "color": "4bbe2e",
        "real_name": user.real_name,
        "tz": "Etc/UTC",
        "tz_label": "Coordinated Universal Time",
        "tz_offset": 0,
        "profile": profile,
        "is_admin": user.name == "ana",
        "is_owner": user.name == "ana",
        "is_primary_owner": user.name == "ana",
        "is_restricted": user.is_guest,
        "is_ultra_restricted": user.is_guest,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "updated": CREATED,
        "is_email_confirmed": True,
        "who_can_share_contact_card": "EVERYONE",
    }


def channel_object(channel: Channel) -> Json:
    note = {"creator": "U00000ANA", "last_set": CREATED}
    shown: Json = {
        "id": channel.id,
        "created": CREATED,
        "is_archived": False,
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_im": channel.kind == "im",
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "channel",
        "is_org_shared": False,
        "context_team_id": TEAM_ID,
        "updated": CREATED * 1_000,
    }
    if channel.kind == "im":
        other = next(iter(channel.members - {BOT_USER_ID}))
        return shown | {"user": other, "is_user_deleted": False, "priority": 0}
    return shown | {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_general": channel.name == "general",
        "unlinked": 0,
        "is_shared": False,
        "is_ext_shared": False,
        "is_pending_ext_shared": False,
        "pending_shared": [],
        "pending_connected_team_ids": [],
        "shared_team_ids": [TEAM_ID],
        "creator": "U00000ANA",
        "is_member": BOT_USER_ID in channel.members,
        "last_read": "0000000000.000000",
        "topic": {"value": channel.topic, **note},
        "purpose": {"value": "", **note},
        "previous_names": [],
        "num_members": len(channel.members),
    }


def file_object(state: SlackState, file: File) -> Json:
    suffix = PurePosixPath(file.name).suffix.removeprefix(".")
    filetype = file.snippet_type or suffix or "text"
    url = f"{state.base_url}/files-pri/{TEAM_ID}-{file.id}"
    content = file.content or b""
    text = content[: PREVIEW_CHARS * 4].decode("utf-8", "replace")[:PREVIEW_CHARS]
    return {
        "id": file.id,
        "created": file.created,
        "timestamp": file.created,
        "name": file.name,
        "title": file.title,
        "mimetype": mimetypes.guess_type(file.name)[0] or "text/plain",
        "filetype": filetype,
        "pretty_type": filetype.upper(),
        "user": file.user,
        "user_team": TEAM_ID,
        "editable": True,
        "size": len(content),
        "mode": "snippet" if file.snippet_type else "hosted",
        "is_external": False,
        "external_type": "",
        "is_public": bool(file.shares),
        "public_url_shared": False,
        "display_as_bot": False,
        "username": "",
        "url_private": f"{url}/{quote(file.name)}",
        "url_private_download": f"{url}/download/{quote(file.name)}",
        "permalink": f"https://playground.invalid/files/{file.user}/{file.id}/{file.name}",
        "permalink_public": f"https://playground.invalid/public/{TEAM_ID}-{file.id}",
        "preview": text,
        "lines": content.count(b"\n") + 1,
        "comments_count": 0,
        "is_starred": False,
        "shares": _shares(file),
        "channels": list(dict.fromkeys(channel for channel, _, _ in file.shares)),
        "groups": [],
        "ims": [],
        "has_more_shares": False,
        "has_rich_preview": False,
        "file_access": "visible",
    }


def _shares(file: File) -> Json:
    public: dict[str, list[Json]] = {}
    for channel, ts, thread_ts in file.shares:
        share: Json = {"ts": ts, "team_id": TEAM_ID, "share_user_id": file.user, "reply_count": 0}
        share |= {"reply_users": [], "reply_users_count": 0, "source": "UNKNOWN"}
        if thread_ts:
            share["thread_ts"] = thread_ts
        public.setdefault(channel, []).append(share)
    return {"public": public} if public else {}


def view_object(view: View) -> Json:
    spec = view.spec
    return {
        "id": view.id,
        "team_id": TEAM_ID,
        "type": view.kind,
        "blocks": spec.get("blocks", []),
        "private_metadata": spec.get("private_metadata", ""),
        "callback_id": spec.get("callback_id", ""),
        # A copy: what is typed later is in no earlier answer.
        "state": {"values": copy.deepcopy(view.values)},
        "hash": view.hash,
        "title": spec.get("title") or {"type": "plain_text", "text": "View Title", "emoji": True},
        "clear_on_close": bool(spec.get("clear_on_close")),
        "notify_on_close": bool(spec.get("notify_on_close")),
        "close": spec.get("close"),
        "submit": spec.get("submit"),
        "previous_view_id": view.previous_view_id,
        "root_view_id": view.root_view_id,
        "app_id": APP_ID,
        "external_id": spec.get("external_id", ""),
        "app_installed_team_id": TEAM_ID,
        "bot_id": BOT_ID,
    }
