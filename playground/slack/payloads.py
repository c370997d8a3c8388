"""The payloads that the app receives: events, commands, actions, views, shortcuts."""

from playground.slack.objects import message_object, view_object
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import (
    APP_ID,
    BOT_USER_ID,
    TEAM_DOMAIN,
    TEAM_ID,
    Channel,
    Json,
    SlackMessage,
    SlackState,
    User,
    View,
)


class Payloads:
    """Builds payloads; every one gets its own event_id, trigger_id and so on from the caller."""

    def __init__(self, settings: SlackSettings, state: SlackState) -> None:
        self._settings = settings
        self._state = state

    def envelope(self, event: Json, channel_id: str = "") -> Json:
        """The outer part of an event."""
        authorization = {
            "enterprise_id": None,
            "team_id": TEAM_ID,
            "user_id": BOT_USER_ID,
            "is_bot": True,
            "is_enterprise_install": False,
        }
        return {
            "token": self._settings.verification_token,
            "team_id": TEAM_ID,
            "context_team_id": TEAM_ID,
            "context_enterprise_id": None,
            "api_app_id": APP_ID,
            "event": event,
            "type": "event_callback",
            "event_id": self._state.next_id("Ev0"),
            "event_time": int(self._state.clock()),
            "authorizations": [authorization],
            "is_ext_shared_channel": False,
            "event_context": f"4-{event['type']}-{TEAM_ID}-{channel_id}",
        }

    def message(self, message: SlackMessage) -> Json:
        channel = self._state.channels[message.channel]
        shown = message_object(self._state, message, metadata=True)
        if message.subtype == "thread_broadcast":
            root = channel.messages[message.thread_ts or ""]
            shown["root"] = message_object(self._state, root)
        # A thread's root was posted when it had no replies yet.
        for late in ("reply_count", "reply_users_count", "latest_reply", "reply_users"):
            shown.pop(late, None)
        return self.envelope(
            shown | {"channel": channel.id, "event_ts": message.ts, "channel_type": channel.kind},
            channel.id,
        )

    def app_mention(self, message: SlackMessage) -> Json:
        """The twin of a message that mentions the app."""
        shown = message_object(self._state, message)
        for only_in_message in ("subtype", "metadata"):
            shown.pop(only_in_message, None)
        event = shown | {
            "type": "app_mention",
            "channel": message.channel,
            "event_ts": message.ts,
        }
        return self.envelope(event, message.channel)

    def message_changed(self, message: SlackMessage, previous: Json, at: str) -> Json:
        event = self._hidden("message_changed", message, at) | {
            "message": message_object(self._state, message, metadata=True)
            | {"source_team": TEAM_ID, "user_team": TEAM_ID},
            "previous_message": previous,
        }
        return self.envelope(event, message.channel)

    def message_deleted(self, message: SlackMessage, previous: Json, at: str) -> Json:
        event = self._hidden("message_deleted", message, at) | {
            "deleted_ts": message.ts,
            "previous_message": previous,
        }
        return self.envelope(event, message.channel)

    def _hidden(self, subtype: str, message: SlackMessage, at: str) -> Json:
        return {
            "type": "message",
            "subtype": subtype,
            "channel": message.channel,
            "channel_type": self._state.channels[message.channel].kind,
            "hidden": True,
            "ts": at,
            "event_ts": at,
        }

    def reaction(self, kind: str, user: str, name: str, message: SlackMessage, at: str) -> Json:
        item = {"type": "message", "channel": message.channel, "ts": message.ts}
        event = {"type": kind, "user": user, "reaction": name, "item": item}
        event |= {"item_user": message.user, "event_ts": at}
        return self.envelope(event, message.channel)

    def app_home_opened(self, user: str, channel_id: str, tab: str, view: View | None) -> Json:
        event: Json = {"type": "app_home_opened", "user": user, "channel": channel_id, "tab": tab}
        event["event_ts"] = self._state.next_ts()
        if view is not None:
            event["view"] = view_object(view)
        return self.envelope(event, channel_id)

    def session_stopped(self, user: str, channel_id: str, thread_ts: str) -> Json:
        event = {"type": "agent_session_stopped", "channel": channel_id, "user": user}
        event |= {"thread_ts": thread_ts, "event_ts": self._state.next_ts()}
        return self.envelope(event | {"streaming_message_ts": []}, channel_id)

    def slash_command(
        self, user: User, channel: Channel, command: str, text: str, tokens: Json
    ) -> Json:
        """`tokens` holds trigger_id and response_url."""
        return {
            "token": self._settings.verification_token,
            "api_app_id": APP_ID,
            "team_id": TEAM_ID,
            "team_domain": TEAM_DOMAIN,
            "channel_id": channel.id,
            "channel_name": channel.name if channel.kind != "im" else "directmessage",
            "user_id": user.id,
            "user_name": user.name,
            "command": command,
            "text": text,
            "is_enterprise_install": "false",
            **tokens,
        }

    def _interaction(self, kind: str, user: User) -> Json:
        return {
            "type": kind,
            "team": {"id": TEAM_ID, "domain": TEAM_DOMAIN},
            "user": {
                "id": user.id,
                "username": user.name,
                "name": user.name,
                "team_id": TEAM_ID,
            },
            "api_app_id": APP_ID,
            "token": self._settings.verification_token,
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def message_actions(
        self,
        user: User,
        message: SlackMessage,
        action: Json,
        tokens: Json,
        *,
        ephemeral: bool = False,
    ) -> Json:
        """A click on an element of a message."""
        channel = self._state.channels[message.channel]
        container: Json = {
            "type": "message",
            "message_ts": message.ts,
            "channel_id": channel.id,
            "is_ephemeral": ephemeral,
        }
        if message.thread_ts:
            container["thread_ts"] = message.thread_ts
        payload = self._interaction("block_actions", user) | {
            "container": container,
            "channel": {"id": channel.id, "name": channel.name or "directmessage"},
            "state": {"values": {}},
            "actions": [action],
            **tokens,
        }
        if not ephemeral:
            payload["message"] = message_object(self._state, message)
        return payload

    def place(self, message: SlackMessage | None, view: View | None) -> Json:
        """Return the container of an element, as payloads name it."""
        if message is not None:
            channel = self._state.channels[message.channel]
            container = {"type": "message", "message_ts": message.ts, "channel_id": channel.id}
            named = {"id": channel.id, "name": channel.name or "directmessage"}
            shown = message_object(self._state, message)
            return {"container": container, "channel": named, "message": shown}
        if view is None:
            return {}
        return {
            "container": {"type": "view", "view_id": view.id},
            "view": view_object(view),
        }

    def suggestion(self, user: User, block: Json, action_id: str, value: str, place: Json) -> Json:
        """A question for the options of a menu, while a person types in it."""
        return (
            self._interaction("block_suggestion", user)
            | place
            | {
                "action_id": action_id,
                "block_id": block.get("block_id", ""),
                "value": value,
            }
        )

    def view_actions(self, user: User, view: View, action: Json, trigger_id: str) -> Json:
        """A click on an element of a modal or of the home tab."""
        return self._interaction("block_actions", user) | {
            "container": {"type": "view", "view_id": view.id},
            "trigger_id": trigger_id,
            "view": view_object(view),
            "actions": [action],
        }

    def view_submission(self, user: User, view: View, trigger_id: str) -> Json:
        return self._interaction("view_submission", user) | {
            "trigger_id": trigger_id,
            "view": view_object(view),
            "response_urls": [],
        }

    def view_closed(self, user: User, view: View, *, cleared: bool = False) -> Json:
        return self._interaction("view_closed", user) | {
            "view": view_object(view),
            "is_cleared": cleared,
            "response_urls": [],
        }

    def message_shortcut(
        self, user: User, message: SlackMessage, callback_id: str, tokens: Json
    ) -> Json:
        channel = self._state.channels[message.channel]
        return self._interaction("message_action", user) | {
            "action_ts": self._state.next_ts(),
            "channel": {"id": channel.id, "name": channel.name or "directmessage"},
            "callback_id": callback_id,
            "message_ts": message.ts,
            "message": message_object(self._state, message),
            **tokens,
        }

    def global_shortcut(self, user: User, callback_id: str, trigger_id: str) -> Json:
        return self._interaction("shortcut", user) | {
            "action_ts": self._state.next_ts(),
            "callback_id": callback_id,
            "trigger_id": trigger_id,
        }
