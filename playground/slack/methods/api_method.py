"""Defines a Web API method, and the look-ups that many methods share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from playground.slack.arguments import CallArguments
from playground.slack.errors import SlackError
from playground.slack.slack_state import BOT_USER_ID, Channel, Json, SlackMessage
from playground.slack.slack_workspace import SlackWorkspace

Run = Callable[[SlackWorkspace, CallArguments], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class ApiMethod:
    """One method: its tier of rate limits, the token it wants, the scope it needs."""

    name: str
    tier: int
    run: Run
    scope: str = ""
    token: Literal["bot", "app"] = "bot"


def visible_channel(workspace: SlackWorkspace, channel_id: str) -> Channel:
    """A channel that the app may know of; private ones only as a member."""
    channel = workspace.state.channels.get(channel_id)
    if channel is None or (channel.kind != "channel" and BOT_USER_ID not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def own_channel(workspace: SlackWorkspace, channel_id: str) -> Channel:
    """A channel that the app is a member of."""
    channel = visible_channel(workspace, channel_id)
    if BOT_USER_ID not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def posting_channel(workspace: SlackWorkspace, target: str) -> Channel:
    """Return the channel of a post: by id, by name, or by a person's id for their messages."""
    if target in workspace.state.users:
        if target == BOT_USER_ID:
            raise SlackError("channel_not_found")
        return workspace.state.direct_channel(target)
    if target.startswith("#"):
        try:
            target = workspace.state.channel(target).id
        except KeyError as error:
            raise SlackError("channel_not_found") from error
    return own_channel(workspace, target)


def message_in(channel: Channel, ts: str) -> SlackMessage:
    if ts not in channel.messages:
        raise SlackError("message_not_found")
    return channel.messages[ts]


def own_message(channel: Channel, ts: str, error: str) -> SlackMessage:
    """A message that the app itself posted."""
    message = message_in(channel, ts)
    if message.user != BOT_USER_ID:
        raise SlackError(error)
    return message
