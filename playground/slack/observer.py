"""Reads the workspace as one person sees it, and waits until that person sees something."""

from typing import Any

from playground.slack.objects import message_object, view_object
from playground.slack.plain_text import message_text
from playground.slack.slack_state import (
    BOT_USER_ID,
    Channel,
    Ephemeral,
    Json,
    SlackMessage,
    User,
    View,
)
from playground.slack.slack_workspace import SlackWorkspace

WAIT_SECONDS = 10.0


class CannotDo(Exception):
    """Slack's client would not let the person do this; the text says what it would show."""


class Observer:
    """Reads and waits as one user. Channels are named by id or name; raises CannotDo."""

    def __init__(self, workspace: SlackWorkspace, user: User) -> None:
        self.workspace = workspace
        self.user = user

    def channel(self, name: str) -> Channel:
        """A channel that the person is in; "@" and "" mean their messages with the app."""
        if name in ("", "@"):
            return self.workspace.state.direct_channel(self.user.id)
        try:
            channel = self.workspace.state.channel(name)
        except KeyError as error:
            raise CannotDo(f"There is no channel {name}.") from error
        if self.user.id not in channel.members:
            raise CannotDo(f"@{self.user.name} is not in #{channel.name}.")
        return channel

    def message(self, channel: str, ts: str) -> SlackMessage:
        try:
            return self.channel(channel).messages[ts]
        except KeyError as error:
            raise CannotDo(f"There is no message {ts} in {channel}.") from error

    def thread(self, channel: str, ts: str) -> list[Json]:
        """The root and its replies as Slack's JSON, metadata included."""
        place = self.channel(channel)
        messages = [self.message(channel, ts), *place.replies(ts)]
        return [message_object(self.workspace.state, m, metadata=True) for m in messages]

    def channel_messages(self, channel: str = "general") -> list[Json]:
        """Return the messages of a channel, oldest first, without replies."""
        messages = self.channel(channel).top_level()
        return [message_object(self.workspace.state, m, metadata=True) for m in messages]

    def ephemerals(self, channel: str | None = None) -> list[Ephemeral]:
        """Return this person's ephemeral posts and private answers, oldest first."""
        place = self.channel(channel).id if channel is not None else None
        return [
            e
            for e in self.workspace.state.ephemerals
            if e.user == self.user.id and place in (None, e.channel)
        ]

    def views(self) -> list[View]:
        """The open modals, the top one last."""
        ids = self.workspace.state.modals.get(self.user.id, [])
        return [self.workspace.state.views[view_id] for view_id in ids]

    def home(self) -> Json | None:
        view = self.workspace.state.homes.get(self.user.id)
        return view_object(view) if view else None

    async def wait_for_message(
        self,
        contains: str = "",
        channel: str = "general",
        thread_ts: str | None = None,
        *,
        after: str = "",
        timeout_seconds: float = WAIT_SECONDS,
    ) -> Json:
        """Wait until the app has said something with these words (in blocks or text).

        Looks in one thread, or at the channel's top level; only at messages later than `after`.
        """

        def look() -> Json | None:
            shown = self.thread(channel, thread_ts) if thread_ts else self.channel_messages(channel)
            for message in shown:
                text = f"{message_text(message)}\n{message['text']}"
                if message["user"] == BOT_USER_ID and message["ts"] > after and contains in text:
                    return message
            return None

        return await self.workspace.feed.until(look, timeout_seconds)

    async def wait_for_ephemeral(
        self, contains: str = "", *, timeout_seconds: float = WAIT_SECONDS
    ) -> Ephemeral:
        def look() -> Ephemeral | None:
            for ephemeral in reversed(self.ephemerals()):
                shown: dict[str, Any] = {"text": ephemeral.text, "blocks": ephemeral.blocks}
                if contains in f"{message_text(shown)}\n{ephemeral.text}":
                    return ephemeral
            return None

        return await self.workspace.feed.until(look, timeout_seconds)

    async def wait_for_view(
        self, contains: str = "", *, timeout_seconds: float = WAIT_SECONDS
    ) -> View:
        """Wait until the top modal holds these words in its title or blocks."""

        def look() -> View | None:
            top = self.views()[-1:]
            return next((v for v in top if contains in str(v.spec)), None)

        return await self.workspace.feed.until(look, timeout_seconds)
