"""Messages that the app gives as an answer: in an acknowledgement, or through a response url."""

from aiohttp import web

from playground.slack.arguments import CallArguments
from playground.slack.errors import SlackError
from playground.slack.methods.chat import read_content
from playground.slack.state import BOT_ID, BOT_USER_ID, Ephemeral, Json, SlackMessage
from playground.slack.trigger_tokens import ResponseUrl
from playground.slack.workspace import SlackWorkspace


async def handle_response_url(hub: SlackWorkspace, request: web.Request) -> web.Response:
    """Serve one POST to a response url."""
    try:
        url = hub.grants.take_response_url(request.match_info["token"])
        show_answer(hub, url, await _body(request), "response_url")
    except SlackError as error:
        hub.feed.record("response_url_refused", error=error.code)
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


def show_answer(hub: SlackWorkspace, url: ResponseUrl, body: Json, source: str) -> None:
    """Show what the app answered; raises SlackError for what a post would refuse too."""
    channel = hub.workspace.channels[url.channel]
    original = None if url.ephemeral else channel.messages.get(url.message_ts or "")
    if body.get("delete_original"):
        if original is not None:
            hub.delete(original)
        _forget(hub, url)
        return
    content = read_content(CallArguments(body))
    if content.is_empty:
        raise SlackError("no_text")
    if body.get("replace_original"):
        if original is not None:
            hub.change(original, BOT_USER_ID, text=content.text, blocks=content.blocks)
            return
        _forget(hub, url)
    ts = hub.workspace.next_ts()
    thread_ts = str(body.get("thread_ts") or url.thread_ts or "") or None
    blocks = content.blocks or []
    if body.get("response_type") == "in_channel":
        message = SlackMessage(
            channel.id, ts, BOT_USER_ID, content.text, blocks, thread_ts=thread_ts, bot_id=BOT_ID
        )
        hub.post(message)
        return
    hub.show_ephemeral(
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


def _forget(hub: SlackWorkspace, url: ResponseUrl) -> None:
    """Take away the private message that an answer replaces."""
    if url.ephemeral:
        hub.dismiss(url.user, url.message_ts or "")
