"""Counts each person's notifications and reads, which measures how quiet a bot is."""

import json
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from playground.slack.slack_state import BOT_USER_ID, Json, SlackMessage, SlackState

KEPT_NOTIFICATIONS = 500
KEPT_THREADS = 2_000
KEPT_READS = 2_000


@dataclass(slots=True)
class ThreadCount:
    """Counts of the app's acts in one thread; `notified` is by person."""

    posts: int = 0
    edits: int = 0
    notified: dict[str, int] = field(default_factory=dict)


class Notifications:
    """Decides who is notified of a message as Slack's client does, and keeps what was read."""

    def __init__(self, state: SlackState) -> None:
        self._state = state
        self._reads: dict[str, OrderedDict[str, str]] = {}
        self._notifications: dict[str, deque[Json]] = {}
        self._threads: OrderedDict[tuple[str, str], ThreadCount] = OrderedDict()

    def posted(self, message: SlackMessage) -> list[str]:
        """Count a new message; returns the ids of the people that it notifies."""
        notified = sorted(self._notified(message))
        note: Json = {"channel": message.channel, "ts": message.ts, "thread_ts": message.thread_ts}
        for user in notified:
            kept = self._notifications.setdefault(user, deque(maxlen=KEPT_NOTIFICATIONS))
            kept.append(note)
        count = self._thread(message)
        count.posts += message.user == BOT_USER_ID
        for user in notified:
            count.notified[user] = count.notified.get(user, 0) + 1
        return notified

    def edited(self, message: SlackMessage) -> None:
        self._thread(message).edits += message.user == BOT_USER_ID

    def read(self, user: str, place: str, ts: str) -> bool:
        """Remember the newest message that a person has read; False when it is an older one."""
        reads = self._reads.setdefault(user, OrderedDict())
        if reads.get(place, "") >= ts:
            return False
        reads[place] = ts
        reads.move_to_end(place)
        while len(reads) > KEPT_READS:
            reads.popitem(last=False)
        return True

    def of(self, user: str) -> Json:
        """A person's reads, notifications and the counts of each thread, as JSON."""
        threads = {
            f"{channel}:{ts}": {
                "posts": count.posts,
                "edits": count.edits,
                "notified": count.notified.get(user, 0),
            }
            for (channel, ts), count in self._threads.items()
        }
        return {
            "reads": dict(self._reads.get(user, {})),
            "notifications": list(self._notifications.get(user, ())),
            "threads": threads,
        }

    def _thread(self, message: SlackMessage) -> ThreadCount:
        key = (message.channel, message.thread_ts or message.ts)
        count = self._threads.setdefault(key, ThreadCount())
        self._threads.move_to_end(key)
        while len(self._threads) > KEPT_THREADS:
            self._threads.popitem(last=False)
        return count

    def _notified(self, message: SlackMessage) -> set[str]:
        channel = self._state.channels[message.channel]
        people = channel.members - {message.user, BOT_USER_ID}
        if channel.kind == "im":
            return people
        called = {user for user in people if mentions(message, user)}
        if not message.is_reply:
            return called
        root = channel.messages.get(message.thread_ts or "")
        thread = [*([root] if root else []), *channel.replies(message.thread_ts or "")]
        return called | {
            user
            for user in people - called
            if any(other.user == user or mentions(other, user) for other in thread)
        }


def mentions(message: SlackMessage, user: str) -> bool:
    """Check whether a message names a person, in its text or in its blocks."""
    if f"<@{user}" in message.text:
        return True
    blocks = json.dumps(message.blocks)
    return f"<@{user}" in blocks or f'"user_id": "{user}"' in blocks
