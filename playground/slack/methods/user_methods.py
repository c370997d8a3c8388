"""The users.*, team.*, bots.*, auth.*, apps.* and agents.* methods."""

from playground.slack.arguments import CallArguments
from playground.slack.errors import SlackError, invalid_arguments
from playground.slack.methods.api_method import ApiMethod, message_in, own_channel
from playground.slack.objects import bot_profile, user_object
from playground.slack.slack_state import (
    BOT_ID,
    BOT_USER_ID,
    TEAM_DOMAIN,
    TEAM_ID,
    TEAM_NAME,
    Json,
)
from playground.slack.slack_workspace import SlackWorkspace

SESSION_STATES = frozenset({"active", "processing", "suspended", "closed"})
MAX_TITLE = 200


async def auth_test(workspace: SlackWorkspace, _args: CallArguments) -> Json:
    return {
        "ok": True,
        "url": f"{workspace.trigger_tokens.base_url}/",
        "team": TEAM_NAME,
        "user": workspace.state.users[BOT_USER_ID].name,
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


async def open_connection(workspace: SlackWorkspace, _args: CallArguments) -> Json:
    ticket = workspace.socket_mode.new_ticket()
    base = workspace.trigger_tokens.base_url.replace("http", "ws", 1)
    return {"ok": True, "url": f"{base}/link/?ticket={ticket}&app_id=playground"}


async def user_info(workspace: SlackWorkspace, args: CallArguments) -> Json:
    user = workspace.state.users.get(args.required("user", "user_not_found"))
    if user is None:
        raise SlackError("user_not_found")
    return {"ok": True, "user": user_object(user)}


async def user_list(workspace: SlackWorkspace, _args: CallArguments) -> Json:
    return {
        "ok": True,
        "members": [user_object(user) for user in workspace.state.users.values()],
        "cache_ts": int(workspace.settings.clock()),
        "response_metadata": {"next_cursor": ""},
    }


async def user_by_email(workspace: SlackWorkspace, args: CallArguments) -> Json:
    email = args.required("email", "users_not_found")
    for user in workspace.state.users.values():
        if user.email == email and not user.is_bot:
            return {"ok": True, "user": user_object(user)}
    raise SlackError("users_not_found")


async def team_info(workspace: SlackWorkspace, _args: CallArguments) -> Json:
    team = {"id": TEAM_ID, "name": TEAM_NAME, "domain": TEAM_DOMAIN, "email_domain": ""}
    team |= {
        "url": f"{workspace.trigger_tokens.base_url}/",
        "enterprise_id": "",
        "enterprise_name": "",
    }
    return {"ok": True, "team": team | {"icon": {"image_default": True}}}


async def bot_info(_workspace: SlackWorkspace, args: CallArguments) -> Json:
    if args.text("bot", BOT_ID) != BOT_ID:
        raise SlackError("bot_not_found")
    return {"ok": True, "bot": bot_profile()}


async def set_session_status(workspace: SlackWorkspace, args: CallArguments) -> Json:
    if workspace.settings.sessions_error:
        raise SlackError(workspace.settings.sessions_error)
    channel = own_channel(workspace, args.required("channel_id", "channel_not_found"))
    status = args.required("status")
    if status not in SESSION_STATES:
        raise invalid_arguments("must be a valid enum value [json-pointer:/status]")
    title = args.text("title")
    if len(title) > MAX_TITLE:
        raise invalid_arguments(f"must be less than {MAX_TITLE + 1} characters")
    thread_ts = args.required("thread_ts", "invalid_thread_ts")
    if message_in(channel, thread_ts).is_reply:
        raise SlackError("invalid_thread_ts")
    session = workspace.state.sessions.setdefault((channel.id, thread_ts), {"title": title})
    session["status"] = status
    workspace.feed.record("session", channel=channel.id, thread_ts=thread_ts, **session)
    answer: Json = {"ok": True}
    if "agent_session_stopped" not in workspace.settings.events:
        warning = "missing_agent_session_stopped_event_subscription"
        answer |= {"warning": warning, "response_metadata": {"warnings": [warning]}}
    return answer


METHODS = (
    ApiMethod("auth.test", 4, auth_test),
    ApiMethod("apps.connections.open", 3, open_connection, "connections:write", token="app"),
    ApiMethod("users.info", 4, user_info, "users:read"),
    ApiMethod("users.list", 2, user_list, "users:read"),
    ApiMethod("users.lookupByEmail", 3, user_by_email, "users:read.email"),
    ApiMethod("team.info", 3, team_info, "team:read"),
    ApiMethod("bots.info", 3, bot_info, "users:read"),
    ApiMethod("agents.sessions.setStatus", 3, set_session_status, "chat:write"),
)
