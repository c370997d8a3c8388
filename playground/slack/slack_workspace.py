"""Performs each act in the workspace: changes the data, records it, sends the app its event."""

from playground.event_feed import EventFeed
from playground.slack.block_kit import complete
from playground.slack.event_delivery import EventDelivery
from playground.slack.fault_plan import FaultPlan
from playground.slack.http_delivery import HttpDelivery
from playground.slack.notifications import Notifications
from playground.slack.objects import message_object, rich_text, view_object
from playground.slack.payloads import Payloads
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import (
    BOT_USER_ID,
    Channel,
    Ephemeral,
    File,
    Json,
    SlackMessage,
    View,
    default_state,
)
from playground.slack.socket_mode_server import SocketMode
from playground.slack.token_buckets import RateLimits
from playground.slack.trigger_tokens import TriggerTokens


class SlackWorkspace:
    """One workspace with its app: the data and the acts on it, for the Web API and for people."""

    def __init__(self, settings: SlackSettings, feed: EventFeed) -> None:
        self.settings = settings
        self.feed = feed
        self.state = default_state(settings.clock)
        self.notifications = Notifications(self.state)
        self.limits = RateLimits(
            settings.clock, enabled=settings.limits_enabled, post_burst=settings.post_burst
        )
        self.faults = FaultPlan()
        self.trigger_tokens = TriggerTokens(settings, self.state.next_token)
        self.payloads = Payloads(settings, self.state)
        self.socket_mode = SocketMode(settings, feed)
        self.http: HttpDelivery | None = None
        self.delivery = EventDelivery(
            self.socket_mode, feed, self.faults, settings.retry_delays_seconds
        )
        if settings.request_url:
            self.use_http(settings.request_url)

    def use_http(self, request_url: str) -> None:
        """Deliver by signed HTTP requests from now on."""
        self.http = HttpDelivery(self.settings, request_url)
        self.delivery.transport = self.http

    async def close(self) -> None:
        await self.delivery.close()
        await self.socket_mode.close()
        if self.http is not None:
            await self.http.close()

    def post(self, message: SlackMessage) -> SlackMessage:
        """Store a new message; the app gets an event where it is a member."""
        self._complete_blocks(message)
        self.state.add(message)
        self._record("message", message, notifies=self.notifications.posted(message))
        if self._app_is_in(message.channel):
            self._event(self.payloads.message(message))
            channel = self.state.channels[message.channel]
            mentioned = f"<@{BOT_USER_ID}>" in message.text
            if mentioned and channel.kind != "im" and message.user != BOT_USER_ID:
                self._event(self.payloads.app_mention(message))
        return message

    def change(
        self,
        message: SlackMessage,
        user: str,
        *,
        text: str | None = None,
        blocks: list[Json] | None = None,
        metadata: Json | None = None,
    ) -> SlackMessage:
        """Edit a message in place. Fields that are None stay as they are."""
        previous = message_object(self.state, message)
        at = self.state.next_ts()
        if text is not None:
            message.text = text
            message.blocks = blocks or []
        elif blocks is not None:
            message.blocks = blocks
        if metadata is not None:
            message.metadata = metadata
        message.edited = {"user": user, "ts": at}
        self._complete_blocks(message)
        self.notifications.edited(message)
        self._record("message_changed", message)
        if self._app_is_in(message.channel):
            self._event(self.payloads.message_changed(message, previous, at))
        return message

    def delete(self, message: SlackMessage) -> None:
        previous = message_object(self.state, message)
        self.state.remove(message)
        self._record("message_deleted", message)
        if self._app_is_in(message.channel):
            at = self.state.next_ts()
            self._event(self.payloads.message_deleted(message, previous, at))

    def react(self, message: SlackMessage, user: str, name: str) -> bool:
        """Add a reaction; False when it was there already."""
        users = message.reactions.setdefault(name, [])
        if user in users:
            return False
        users.append(user)
        self._reaction("reaction_added", message, user, name)
        return True

    def unreact(self, message: SlackMessage, user: str, name: str) -> bool:
        users = message.reactions.get(name, [])
        if user not in users:
            return False
        users.remove(user)
        if not users:
            del message.reactions[name]
        self._reaction("reaction_removed", message, user, name)
        return True

    def show_ephemeral(self, ephemeral: Ephemeral) -> None:
        """Show one person a message that nobody else sees and that history does not keep."""
        complete(ephemeral.blocks, self.state.next_id)
        self.state.ephemerals.append(ephemeral)
        self.feed.record(
            "ephemeral",
            channel=ephemeral.channel,
            user=ephemeral.user,
            ts=ephemeral.ts,
            text=ephemeral.text,
            blocks=ephemeral.blocks,
            thread_ts=ephemeral.thread_ts,
            source=ephemeral.source,
        )

    def share_file(self, file: File, message: SlackMessage) -> SlackMessage:
        """Post a message that carries a file."""
        file.shares.append((message.channel, message.ts, message.thread_ts))
        return self.post(message)

    def show_view(self, view: View) -> View:
        """Put a modal on top of the person's stack, or replace their home tab."""
        self.state.views[view.id] = view
        if view.kind == "home":
            self.state.homes[view.user] = view
        else:
            stack = self.state.modals.setdefault(view.user, [])
            if view.id not in stack:
                stack.append(view.id)
        self.feed.record("view", user=view.user, view=view_object(view))
        return view

    def read(self, user: str, place: str, ts: str) -> None:
        """Record that a person has read a channel, or `channel:thread_ts`, up to a message."""
        if self.notifications.read(user, place, ts):
            self.feed.record("read", user=user, place=place, ts=ts)

    def invite_app(self, channel: Channel) -> None:
        """Add the app to a channel."""
        channel.members.add(BOT_USER_ID)
        self.feed.record("members", channel=channel.id, members=sorted(channel.members))

    def dismiss(self, user: str, ts: str) -> None:
        """Take a private message away."""
        kept = [e for e in self.state.ephemerals if (e.user, e.ts) != (user, ts)]
        self.state.ephemerals[:] = kept
        self.feed.record("ephemeral_gone", user=user, ts=ts)

    def close_views(self, user: str, *, all_of_them: bool = False) -> None:
        """Take the top modal away, or the whole stack."""
        stack = self.state.modals.get(user, [])
        while stack:
            self.state.views.pop(stack.pop(), None)
            if not all_of_them:
                break
        self.feed.record("view_closed", user=user, open_views=list(stack))

    def emit(self, payload: Json) -> None:
        """Send an event that is not about a message, when the app subscribed to it."""
        self._event(payload)

    def _event(self, payload: Json) -> None:
        if payload["event"]["type"] in self.settings.events:
            self.delivery.event(payload)

    def _reaction(self, kind: str, message: SlackMessage, user: str, name: str) -> None:
        self.feed.record(kind, channel=message.channel, ts=message.ts, user=user, reaction=name)
        if self._app_is_in(message.channel):
            at = self.state.next_ts()
            self._event(self.payloads.reaction(kind, user, name, message, at))

    def _app_is_in(self, channel_id: str) -> bool:
        return BOT_USER_ID in self.state.channels[channel_id].members

    def _complete_blocks(self, message: SlackMessage) -> None:
        if not message.blocks and message.text:
            message.blocks = [rich_text(message.text, self.state.next_id("b"))]
        complete(message.blocks, self.state.next_id)

    def _record(self, kind: str, message: SlackMessage, **more: object) -> None:
        shown = message_object(self.state, message, metadata=True)
        self.feed.record(kind, channel=message.channel, ts=message.ts, message=shown, **more)
