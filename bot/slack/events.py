"""Reads what Slack sends as small values: messages and reactions, bounded and told apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.domain.attachment import Attachment, SharedFile, sort_files
from bot.domain.replies import Intent, read_reply
from bot.slack.views.text import MAX_TYPED_CHARS, plain

# A person's own words; every other subtype is housekeeping (joins, edits, deletions, bots).
_MOST_FILES = 50
_HUMAN_SUBTYPES = frozenset({None, "file_share", "thread_broadcast"})


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message that a person wrote. `text` is as typed, without the mention of the bot.

    `thread_ts` is None for a message that is not in a thread. `files` are what is attached and can
    be handed over; `unfit` says of each other one why not.
    """

    team: str
    channel: str
    user: str
    ts: str
    thread_ts: str | None
    text: str
    mentions_bot: bool
    direct: bool
    client_msg_id: str | None
    files: tuple[Attachment, ...] = ()
    unfit: tuple[str, ...] = ()


def person_message(
    body: Mapping[str, Any], event: Mapping[str, Any], bot_user_id: str
) -> IncomingMessage | None:
    """Reads a `message` or `app_mention` event; None for everything that no person wrote."""
    if event.get("subtype") not in _HUMAN_SUBTYPES or event.get("hidden"):
        return None
    user = event.get("user")
    if event.get("bot_id") or not user or user in {bot_user_id, "USLACK", "USLACKBOT"}:
        return None
    raw = str(event.get("text") or "")[:MAX_TYPED_CHARS]
    mention = re.compile(rf"<@{re.escape(bot_user_id)}(?:\|[^<>]*)?>")
    ts, thread_ts = str(event["ts"]), event.get("thread_ts")
    files, unfit = sort_files(shared_files(event))
    return IncomingMessage(
        team=str(body.get("team_id") or event.get("team") or ""),
        channel=str(event["channel"]),
        user=str(user),
        ts=ts,
        thread_ts=str(thread_ts) if thread_ts and thread_ts != ts else None,
        text=plain(mention.sub("", raw, count=1)).strip(),
        mentions_bot=bool(mention.search(raw)),
        direct=event.get("channel_type") == "im",
        client_msg_id=event.get("client_msg_id"),
        files=tuple(files),
        unfit=tuple(unfit),
    )


def shared_files(message: Mapping[str, Any]) -> list[SharedFile]:
    """Returns the files of a message, as Slack describes them."""
    listed = message.get("files")
    return [
        SharedFile(
            id=str(file.get("id") or ""),
            name=str(file.get("name") or file.get("title") or ""),
            mimetype=str(file.get("mimetype") or ""),
            size_bytes=size if isinstance(size := file.get("size"), int) else 0,
        )
        for file in (listed if isinstance(listed, list) else [])[:_MOST_FILES]
        if isinstance(file, dict)
    ]


@dataclass(frozen=True, slots=True)
class EditedMessage:
    """A person's message in a thread with its new text; None when it was deleted."""

    team: str
    channel: str
    user: str
    ts: str
    thread_ts: str
    text: str | None


def revised_message(
    body: Mapping[str, Any], event: Mapping[str, Any], bot_user_id: str
) -> EditedMessage | None:
    """Reads a `message_changed` or `message_deleted`; None for anything else.

    Slack reports a change too when it adds a preview or a reply count: the text is the same then.
    """
    before = event.get("previous_message") or {}
    deleted = event.get("subtype") == "message_deleted"
    if not deleted and event.get("subtype") != "message_changed":
        return None
    now = before if deleted else event.get("message") or {}
    if not now.get("ts") or not event.get("channel"):
        return None
    where = {"channel": event["channel"], "hidden": False}
    read = person_message(body, {**now, **where}, bot_user_id)
    if read is None or read.thread_ts is None:
        return None
    if not deleted and before.get("text") == now.get("text"):
        return None
    text = None if deleted else read.text
    return EditedMessage(read.team, read.channel, read.user, read.ts, read.thread_ts, text)


def is_urgent(body: Mapping[str, Any], stop_reaction: str) -> bool:
    """Checks whether this input may stop an agent, so that it must not wait for anything."""
    event = body.get("event") or {}
    if event.get("type") == "agent_session_stopped":
        return True
    if event.get("type") == "reaction_added":
        return reaction_name(str(event.get("reaction") or "")) == stop_reaction
    words = re.sub(r"<@[^<>]*>", "", str(event.get("text") or "")[:MAX_TYPED_CHARS])
    is_message = event.get("type") in {"message", "app_mention"}
    return is_message and read_reply(words).intent is Intent.STOP


def reaction_name(name: str) -> str:
    """Returns a reaction's name without a skin tone."""
    return name.partition("::")[0]
