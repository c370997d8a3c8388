"""What Slack sends, as small values: messages and reactions, bounded and told apart."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.render.text import plain

# A person's own words; every other subtype is housekeeping (joins, edits, deletions, bots).
_HUMAN_SUBTYPES = frozenset({None, "file_share", "thread_broadcast"})


@dataclass(frozen=True, slots=True)
class PersonMessage:
    """A message that a person wrote. `text` is as typed, without the mention of the bot.

    `thread_ts` is None for a message that is not in a thread.
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


def person_message(
    body: Mapping[str, Any], event: Mapping[str, Any], bot_user_id: str
) -> PersonMessage | None:
    """Read a `message` or `app_mention` event; None for everything that no person wrote."""
    if event.get("subtype") not in _HUMAN_SUBTYPES or event.get("hidden"):
        return None
    user = event.get("user")
    if event.get("bot_id") or not user or user in {bot_user_id, "USLACK", "USLACKBOT"}:
        return None
    raw = str(event.get("text") or "")
    mention = re.compile(rf"<@{re.escape(bot_user_id)}(?:\|[^>]*)?>")
    ts, thread_ts = str(event["ts"]), event.get("thread_ts")
    return PersonMessage(
        team=str(body.get("team_id") or event.get("team") or ""),
        channel=str(event["channel"]),
        user=str(user),
        ts=ts,
        thread_ts=str(thread_ts) if thread_ts and thread_ts != ts else None,
        text=plain(mention.sub("", raw, count=1)).strip(),
        mentions_bot=bool(mention.search(raw)),
        direct=event.get("channel_type") == "im",
        client_msg_id=event.get("client_msg_id"),
    )


def reaction_name(name: str) -> str:
    """A reaction's name without a skin tone."""
    return name.partition("::")[0]
