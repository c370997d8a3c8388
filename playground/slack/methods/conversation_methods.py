"""The conversations.* and reactions.* methods."""

from collections.abc import Sequence

from playground.slack.arguments import CallArguments
from playground.slack.errors import SlackError
from playground.slack.methods.api_method import ApiMethod, message_in, own_channel, visible_channel
from playground.slack.objects import channel_object, message_object, reactions
from playground.slack.slack_state import BOT_USER_ID, Channel, ChannelKind, Json, SlackMessage
from playground.slack.slack_workspace import SlackWorkspace

MAX_PAGE = 999
DEFAULT_PAGE = 100


def _start(args: CallArguments) -> int:
    """Return the offset that the cursor names."""
    try:
        return max(0, int(args.text("cursor") or 0))
    except ValueError as error:
        raise SlackError("invalid_cursor") from error


def _page(
    workspace: SlackWorkspace,
    args: CallArguments,
    messages: Sequence[SlackMessage],
    default: int = DEFAULT_PAGE,
) -> Json:
    """Cut a list of messages by oldest/latest, limit and cursor (an offset)."""
    oldest, latest = args.text("oldest"), args.text("latest")
    inclusive = args.flag("inclusive")
    kept = [
        m
        for m in messages
        if (not oldest or m.ts > oldest or (inclusive and m.ts == oldest))
        and (not latest or m.ts < latest or (inclusive and m.ts == latest))
    ]
    limit = max(1, min(MAX_PAGE, args.number("limit", default)))
    start = _start(args)
    metadata = args.flag("include_all_metadata")
    answer: Json = {
        "ok": True,
        "messages": [
            message_object(workspace.state, m, metadata=metadata)
            for m in kept[start : start + limit]
        ],
        "has_more": start + limit < len(kept),
    }
    if answer["has_more"]:
        answer["response_metadata"] = {"next_cursor": str(start + limit)}
    return answer


async def history(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = own_channel(workspace, args.required("channel", "channel_not_found"))
    newest_first = list(reversed(channel.top_level()))
    return _page(workspace, args, newest_first) | {"pin_count": 0}


async def replies(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = own_channel(workspace, args.required("channel", "channel_not_found"))
    message = channel.messages.get(args.required("ts", "thread_not_found"))
    if message is None:
        raise SlackError("thread_not_found")
    root = channel.messages.get(message.thread_ts or message.ts, message)
    return _page(workspace, args, [root, *channel.replies(root.ts)], MAX_PAGE)


READ_SCOPES: dict[ChannelKind, str] = {
    "channel": "channels:read",
    "group": "groups:read",
    "im": "im:read",
    "mpim": "mpim:read",
}


def _readable_channel(workspace: SlackWorkspace, args: CallArguments) -> Channel:
    """A visible channel of a kind that the app has the scope to read about."""
    channel = visible_channel(workspace, args.required("channel", "channel_not_found"))
    needed, provided = READ_SCOPES[channel.kind], workspace.settings.scopes
    if needed not in provided.split(","):
        raise SlackError("missing_scope", needed=needed, provided=provided)
    return channel


async def info(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = _readable_channel(workspace, args)
    return {"ok": True, "channel": channel_object(channel)}


async def list_(workspace: SlackWorkspace, args: CallArguments) -> Json:
    kinds = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}
    wanted = {kinds.get(name) for name in args.text("types", "public_channel").split(",")}
    channels = [
        channel_object(channel)
        for channel in workspace.state.channels.values()
        if channel.kind in wanted and (channel.kind == "channel" or BOT_USER_ID in channel.members)
    ]
    return {"ok": True, "channels": channels, "response_metadata": {"next_cursor": ""}}


async def open_(workspace: SlackWorkspace, args: CallArguments) -> Json:
    users = [user for user in args.text("users").split(",") if user]
    if len(users) != 1 or users[0] not in workspace.state.users or users[0] == BOT_USER_ID:
        raise SlackError("user_not_found" if len(users) == 1 else "not_enough_users")
    channel = workspace.state.direct_channel(users[0])
    shown = channel_object(channel) if args.flag("return_im") else {"id": channel.id}
    return {"ok": True, "channel": shown, "no_op": True, "already_open": True}


async def join(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = visible_channel(workspace, args.required("channel", "channel_not_found"))
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    channel.members.add(BOT_USER_ID)
    return {"ok": True, "channel": channel_object(channel)}


async def members(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = _readable_channel(workspace, args)
    limit, start = max(1, min(MAX_PAGE, args.number("limit", DEFAULT_PAGE))), _start(args)
    everyone = sorted(channel.members)
    more = start + limit < len(everyone)
    return {
        "ok": True,
        "members": everyone[start : start + limit],
        "response_metadata": {"next_cursor": str(start + limit) if more else ""},
    }


def _reaction_target(workspace: SlackWorkspace, args: CallArguments) -> tuple[SlackMessage, str]:
    name = args.required("name", "no_reaction")
    if not name.replace("_", "").replace("-", "").replace("+", "").replace(":", "").isalnum():
        raise SlackError("invalid_name")
    channel = own_channel(workspace, args.required("channel", "no_item_specified"))
    ts = args.required("timestamp", "no_item_specified")
    return message_in(channel, ts), name


async def add_reaction(workspace: SlackWorkspace, args: CallArguments) -> Json:
    message, name = _reaction_target(workspace, args)
    if name.startswith(":"):
        raise SlackError("invalid_name")
    if not workspace.react(message, BOT_USER_ID, name):
        raise SlackError("already_reacted")
    return {"ok": True}


async def remove_reaction(workspace: SlackWorkspace, args: CallArguments) -> Json:
    message, name = _reaction_target(workspace, args)
    if not workspace.unreact(message, BOT_USER_ID, name):
        raise SlackError("no_reaction")
    return {"ok": True}


async def get_reactions(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = own_channel(workspace, args.required("channel", "no_item_specified"))
    message = message_in(channel, args.required("timestamp", "no_item_specified"))
    shown = message_object(workspace.state, message) | {"reactions": reactions(message)}
    return {"ok": True, "type": "message", "channel": channel.id, "message": shown}


METHODS = (
    ApiMethod("conversations.history", 3, history, "channels:history"),
    ApiMethod("conversations.replies", 3, replies, "channels:history"),
    ApiMethod("conversations.info", 3, info),
    ApiMethod("conversations.list", 2, list_, "channels:read"),
    ApiMethod("conversations.members", 4, members),
    ApiMethod("conversations.open", 3, open_, "im:write"),
    ApiMethod("conversations.join", 3, join, "channels:join"),
    ApiMethod("reactions.add", 3, add_reaction, "reactions:write"),
    ApiMethod("reactions.remove", 2, remove_reaction, "reactions:write"),
    ApiMethod("reactions.get", 3, get_reactions, "reactions:read"),
)
