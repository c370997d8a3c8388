"""Shows the messages that the app sends in an acknowledgement or through a response url."""

from aiohttp import web

from playground.slack.arguments import CallArguments
from playground.slack.errors import SlackError
from playground.slack.methods.chat_methods import read_content
from playground.slack.slack_state import BOT_ID, BOT_USER_ID, Ephemeral, Json, SlackMessage
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.trigger_tokens import ResponseUrl


async def handle_response_url(workspace: SlackWorkspace, request: web.Request) -> web.Response:
    """Serve one POST to a response url."""
    try:
        url = workspace.trigger_tokens.take_response_url(request.match_info["token"])
        show_answer(workspace, url, await _body(request), "response_url")
    except SlackError as error:
        workspace.feed.record("response_url_refused", error=error.code)
        return web.json_response(error.body(), status=error.status)
    return web.json_response({"ok": True})


async def _body(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError as error:
        raise SlackError("invalid_payload", status=400) from error
    if not isinstance(body, dict):
        raise SlackError("invalid_payload", status=400)
    return body


def show_answer(workspace: SlackWorkspace, url: ResponseUrl, body: Json, source: str) -> None:
    """Show what the app answered; raises SlackError for what a post would refuse too."""
    channel = workspace.state.channels[url.channel]
    original = None if url.ephemeral else channel.messages.get(url.message_ts or "")
    if body.get("delete_original"):
        if original is not None:
            workspace.delete(original)
        _forget(workspace, url)
        return
    content = read_content(CallArguments(body))
    if content.is_empty:
        raise SlackError("no_text")
    if body.get("replace_original"):
        if original is not None:
            workspace.change(original, BOT_USER_ID, text=content.text, blocks=content.blocks)
            return
        _forget(workspace, url)
    ts = workspace.state.next_ts()
    thread_ts = str(body.get("thread_ts") or url.thread_ts or "") or None
    blocks = content.blocks or []
    if body.get("response_type") == "in_channel":
        message = SlackMessage(
            channel.id, ts, BOT_USER_ID, content.text, blocks, thread_ts=thread_ts, bot_id=BOT_ID
        )
        workspace.post(message)
        return
    workspace.show_ephemeral(
        Ephemeral(
            channel.id,
            url.user,
            ts,
            content.text,
            blocks,
            thread_ts,
            "ack" if source == "ack" else "response_url",
        )
    )


def _forget(workspace: SlackWorkspace, url: ResponseUrl) -> None:
    """Take away the private message that an answer replaces."""
    if url.ephemeral:
        workspace.dismiss(url.user, url.message_ts or "")
