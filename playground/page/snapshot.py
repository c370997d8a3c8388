"""Makes the JSON that a person's page loads when it is opened."""

from dataclasses import asdict, dataclass

from playground.page.completion import commands, shortcuts
from playground.page.demos import demonstrations
from playground.slack.objects import message_object, view_object
from playground.slack.slack_state import BOT_USER_ID, TEAM_NAME, Channel, Json, User
from playground.slack.slack_workspace import SlackWorkspace

SHOWN_MESSAGES = 500
SHOWN_EPHEMERALS = 100


@dataclass(frozen=True, slots=True)
class PageSettings:
    """Names the model and the git host that the page shows.

    `model` is the name of the model that answers when it is not the scripted one; `git_url` the
    git host when it is not the local one.
    """

    model: str = ""
    git_url: str = ""

    @property
    def is_scripted(self) -> bool:
        return not self.model


def snapshot(workspace: SlackWorkspace, user: User, about: Json) -> Json:
    """Everything that `user` may see, with `about` (instance, repositories, models) in it."""
    state = workspace.state
    channels = [c for c in state.channels.values() if user.id in c.members]
    private = [e for e in state.ephemerals if e.user == user.id]
    home = state.homes.get(user.id)
    return about | {
        "seq": workspace.feed.last_seq,
        "team": TEAM_NAME,
        "me": user.id,
        "bot": BOT_USER_ID,
        "connections": workspace.socket_mode.connections + (workspace.http is not None),
        "users": [asdict(someone) for someone in state.users.values()],
        "channels": [channel_shown(channel) for channel in channels],
        "messages": {channel.id: messages(workspace, channel) for channel in channels},
        "ephemerals": [asdict(e) for e in private[-SHOWN_EPHEMERALS:]],
        "views": [view_object(state.views[view_id]) for view_id in state.modals.get(user.id, [])],
        "sessions": {
            f"{channel}:{ts}": session["status"]
            for (channel, ts), session in state.sessions.items()
        },
        "home": view_object(home) if home else None,
        "attention": workspace.notifications.of(user.id),
    }


def messages(workspace: SlackWorkspace, channel: Channel) -> list[Json]:
    """The newest messages of a channel, replies among them, oldest first."""
    newest = list(channel.messages.values())[-SHOWN_MESSAGES:]
    return [message_object(workspace.state, message) for message in newest]


def channel_shown(channel: Channel) -> Json:
    return {
        "id": channel.id,
        "name": channel.name,
        "kind": channel.kind,
        "topic": channel.topic,
        "members": sorted(channel.members),
        "has_app": BOT_USER_ID in channel.members,
    }


def about(
    settings: PageSettings, instance: str, repositories: list[str], models: list[str]
) -> Json:
    """Return the part of a snapshot that is the same for every person."""
    shown_models = [m for m in models if m.startswith("scripted/")] if settings.is_scripted else []
    return {
        "instance": instance,
        "is_scripted": settings.is_scripted,
        "model": settings.model or "scripted/scripted-model",
        "git_url": settings.git_url,
        "repositories": repositories,
        "commands": commands([] if settings.git_url else repositories, shown_models),
        "shortcuts": shortcuts(),
        "demonstrations": demonstrations() if settings.is_scripted else [],
    }
