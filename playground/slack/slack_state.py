"""The workspace as data in memory: people, channels, messages, reactions, files, views."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]
ChannelKind = Literal["channel", "group", "im", "mpim"]

TEAM_ID = "T0PLAYGRND"
TEAM_NAME = "Playground"
TEAM_DOMAIN = "playground"
APP_ID = "A0THREADSM"
BOT_ID = "B0THREADSM"
BOT_USER_ID = "U0THREADSM"
CREATED = 1_700_000_000
TS_STEP_MICROS = 100


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str
    real_name: str
    is_bot: bool = False
    is_guest: bool = False
    is_deleted: bool = False
    # Another organisation's for a person who is here through a shared channel.
    team_id: str = TEAM_ID

    @property
    def email(self) -> str:
        return f"{self.name}@playground.invalid"


@dataclass(slots=True)
class SlackMessage:
    """A message; `thread_ts` is set on replies and, once there is a reply, on the root."""

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    thread_ts: str | None = None
    bot_id: str | None = None
    client_msg_id: str | None = None
    subtype: str | None = None
    metadata: Json | None = None
    files: list[str] = field(default_factory=list)
    reactions: dict[str, list[str]] = field(default_factory=dict)
    edited: Json | None = None

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """A message to one person alone: posted, or an answer by response_url or acknowledgement."""

    channel: str
    user: str
    ts: str
    text: str
    blocks: list[Json]
    thread_ts: str | None
    source: Literal["api", "response_url", "ack"]


@dataclass(slots=True)
class Channel:
    id: str
    name: str
    kind: ChannelKind = "channel"
    members: set[str] = field(default_factory=set)
    messages: dict[str, SlackMessage] = field(default_factory=dict)
    topic: str = ""

    def replies(self, root_ts: str) -> list[SlackMessage]:
        """The replies below `root_ts`, oldest first, without the root."""
        return [m for m in self.messages.values() if m.is_reply and m.thread_ts == root_ts]

    def top_level(self) -> list[SlackMessage]:
        """Return the messages of the channel itself, oldest first."""
        return [
            m for m in self.messages.values() if not m.is_reply or m.subtype == "thread_broadcast"
        ]


@dataclass(slots=True)
class File:
    id: str
    name: str
    title: str
    user: str
    created: int
    snippet_type: str = ""
    content: bytes | None = None
    declared_bytes: int = 0
    alt_text: str = ""
    completed: bool = False
    shares: list[tuple[str, str, str | None]] = field(default_factory=list)


@dataclass(slots=True)
class View:
    """A modal or a home tab that one person sees; `spec` is what the app sent."""

    id: str
    kind: Literal["modal", "home"]
    user: str
    spec: Json
    hash: str
    root_view_id: str
    previous_view_id: str | None = None
    values: dict[str, dict[str, Json]] = field(default_factory=dict)


class SlackState:
    """The data, and the numbering of everything in it; raises KeyError for what is not there."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        # The base of the addresses of files; set once the server listens.
        self.base_url = "https://playground.invalid"
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.files: dict[str, File] = {}
        self.views: dict[str, View] = {}
        self.homes: dict[str, View] = {}
        self.modals: dict[str, list[str]] = {}
        self.ephemerals: list[Ephemeral] = []
        self.sessions: dict[tuple[str, str], Json] = {}
        self._counter = 0
        self._last_micros = 0

    def next_ts(self) -> str:
        """A timestamp later than every one before it, in the workspace and so in each channel."""
        micros = int(self.clock()) * 1_000_000 + TS_STEP_MICROS
        self._last_micros = max(micros, self._last_micros + TS_STEP_MICROS)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def next_id(self, prefix: str) -> str:
        self._counter += 1
        return f"{prefix}{self._counter:09d}"

    def next_token(self, purpose: str) -> str:
        """A name that nobody guesses and that is not a secret of any other server."""
        self._counter += 1
        return hashlib.sha256(f"{purpose}{self._counter}{uuid.uuid4()}".encode()).hexdigest()[:24]

    def user(self, name_or_id: str) -> User:
        key = name_or_id.removeprefix("@")
        if key in self.users:
            return self.users[key]
        for user in self.users.values():
            if user.name == key:
                return user
        raise KeyError(name_or_id)

    def channel(self, name_or_id: str) -> Channel:
        key = name_or_id.removeprefix("#")
        if key in self.channels:
            return self.channels[key]
        for channel in self.channels.values():
            if channel.name == key and channel.kind != "im":
                return channel
        raise KeyError(name_or_id)

    def direct_channel(self, user_id: str) -> Channel:
        """The direct messages between a person and the app; made when first asked for."""
        members = {user_id, BOT_USER_ID}
        for channel in self.channels.values():
            if channel.kind == "im" and channel.members == members:
                return channel
        channel = Channel(self.next_id("D"), "", "im", members)
        self.channels[channel.id] = channel
        return channel

    def message(self, channel_id: str, ts: str) -> SlackMessage:
        return self.channels[channel_id].messages[ts]

    def add(self, message: SlackMessage) -> SlackMessage:
        """Store a message; the root of its thread learns that it has one."""
        channel = self.channels[message.channel]
        channel.messages[message.ts] = message
        if message.is_reply and message.thread_ts in channel.messages:
            channel.messages[message.thread_ts].thread_ts = message.thread_ts
        return message

    def remove(self, message: SlackMessage) -> None:
        """Delete a message; a root that loses its last reply is no thread any more."""
        channel = self.channels[message.channel]
        del channel.messages[message.ts]
        root = channel.messages.get(message.thread_ts or "")
        if root is not None and root.ts != message.ts and not channel.replies(root.ts):
            root.thread_ts = None


def default_state(clock: Callable[[], float]) -> SlackState:
    """Team Playground: @ana, @ben, the guest @eve, the app; it is in #general and #dev."""
    state = SlackState(clock)
    people = [
        User("U00000ANA", "ana", "Ana Ortiz"),
        User("U00000BEN", "ben", "Ben Okafor"),
        User("U00000EVE", "eve", "Eve Lind", is_guest=True),
        User(BOT_USER_ID, "threadsmith", "Threadsmith", is_bot=True),
    ]
    state.users = {user.id: user for user in people}
    everyone = {user.id for user in people}
    for channel in (
        Channel("C0GENERAL0", "general", members=set(everyone), topic="Everything"),
        Channel("C000000DEV", "dev", members={"U00000ANA", "U00000BEN", BOT_USER_ID}),
        Channel("C000RANDOM", "random", members=everyone - {BOT_USER_ID}),
    ):
        state.channels[channel.id] = channel
    for user in people[:3]:
        state.direct_channel(user.id)
    return state
