"""The chat.* methods."""

from dataclasses import dataclass

from playground.slack.arguments import CallArguments
from playground.slack.block_kit import MAX_TEXT
from playground.slack.errors import SlackError
from playground.slack.methods.api_method import (
    ApiMethod,
    message_in,
    own_channel,
    own_message,
    posting_channel,
    visible_channel,
)
from playground.slack.objects import message_object
from playground.slack.rules import (
    MAX_MARKDOWN,
    MAX_UPDATE_TEXT,
    check_blocks,
    check_metadata,
)
from playground.slack.slack_state import BOT_ID, BOT_USER_ID, Channel, Ephemeral, Json, SlackMessage
from playground.slack.slack_workspace import SlackWorkspace


@dataclass(frozen=True, slots=True)
class MessageContent:
    """The text and blocks of a call; `blocks` is None when the call has no such argument."""

    text: str
    blocks: list[Json] | None
    attachments: list[Json]

    @property
    def is_empty(self) -> bool:
        return not self.text.strip() and not self.blocks and not self.attachments


def read_content(args: CallArguments, refused: frozenset[str] = frozenset()) -> MessageContent:
    """Check text, markdown_text, blocks and attachments together."""
    text = args.text("text")
    markdown = args.text("markdown_text")
    blocks = args.json("blocks", "invalid_blocks_format")
    if markdown:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN:
            raise SlackError("msg_too_long")
        return MessageContent(markdown, [{"type": "markdown", "text": markdown}], [])
    attachments = args.json("attachments", "invalid_attachments")
    if attachments is not None and not isinstance(attachments, list):
        raise SlackError("invalid_attachments")
    checked = None if blocks is None else check_blocks(blocks, refused=refused)
    return MessageContent(text, checked, attachments or [])


def _thread(channel: Channel, args: CallArguments) -> str | None:
    """The root's ts; a reply's ts or an unknown one is refused."""
    thread_ts = args.text("thread_ts")
    if not thread_ts:
        return None
    root = channel.messages.get(thread_ts)
    if root is None:
        raise SlackError("thread_not_found")
    if root.is_reply:
        raise SlackError("invalid_thread_ts")
    return thread_ts


async def post_message(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = posting_channel(workspace, args.required("channel", "channel_not_found"))
    content = read_content(args, workspace.settings.refused_blocks)
    if content.is_empty:
        raise SlackError("no_text")
    metadata = check_metadata(args.json("metadata", "invalid_metadata_format"))
    thread_ts = _thread(channel, args)
    if seconds := workspace.limits.post(channel.id):
        raise SlackError("ratelimited", status=429, headers={"Retry-After": str(seconds)})
    broadcast = bool(thread_ts) and args.flag("reply_broadcast")
    message = SlackMessage(
        channel=channel.id,
        ts=workspace.state.next_ts(),
        user=BOT_USER_ID,
        text=content.text[:MAX_TEXT],
        blocks=content.blocks or [],
        attachments=content.attachments,
        thread_ts=thread_ts,
        bot_id=BOT_ID,
        subtype="thread_broadcast" if broadcast else None,
        metadata=metadata,
    )
    workspace.post(message)
    answer: Json = {
        "ok": True,
        "channel": channel.id,
        "ts": message.ts,
        "message": message_object(workspace.state, message, metadata=True),
    }
    if len(content.text) > MAX_TEXT:
        answer |= {"warning": "message_truncated"}
        answer["response_metadata"] = {"warnings": ["message_truncated"]}
    return answer


async def update(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = own_channel(workspace, args.required("channel", "channel_not_found"))
    message = own_message(channel, args.required("ts", "message_not_found"), "cant_update_message")
    content = read_content(args, workspace.settings.refused_blocks)
    if content.blocks is None and content.is_empty:
        raise SlackError("no_text")
    if not args.text("markdown_text") and len(content.text) > MAX_UPDATE_TEXT:
        raise SlackError("msg_too_long")
    metadata = check_metadata(args.json("metadata", "invalid_metadata_format"))
    text = content.text if "text" in args.values or args.text("markdown_text") else None
    workspace.change(message, BOT_USER_ID, text=text, blocks=content.blocks, metadata=metadata)
    shown = message_object(workspace.state, message, metadata=True)
    del shown["ts"]  # Slack's answer has it outside only
    return {
        "ok": True,
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": shown,
    }


async def delete(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = own_channel(workspace, args.required("channel", "channel_not_found"))
    message = own_message(channel, args.required("ts", "message_not_found"), "cant_delete_message")
    workspace.delete(message)
    return {"ok": True, "channel": channel.id, "ts": message.ts}


async def post_ephemeral(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = own_channel(workspace, args.required("channel", "channel_not_found"))
    user = args.required("user", "user_not_in_channel")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    content = read_content(args, workspace.settings.refused_blocks)
    if content.is_empty:
        raise SlackError("no_text")
    ts = workspace.state.next_ts()
    thread_ts = _thread(channel, args)
    workspace.show_ephemeral(
        Ephemeral(channel.id, user, ts, content.text, content.blocks or [], thread_ts, "api")
    )
    return {"ok": True, "message_ts": ts}


async def get_permalink(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channel = visible_channel(workspace, args.required("channel", "channel_not_found"))
    message = message_in(channel, args.required("message_ts", "message_not_found"))
    link = (
        f"{workspace.trigger_tokens.base_url}/archives/{channel.id}/p{message.ts.replace('.', '')}"
    )
    if message.is_reply:
        link += f"?thread_ts={message.thread_ts}&cid={channel.id}"
    return {"ok": True, "permalink": link, "channel": channel.id}


METHODS = (
    ApiMethod("chat.postMessage", 0, post_message, "chat:write"),
    ApiMethod("chat.update", 3, update, "chat:write"),
    ApiMethod("chat.delete", 3, delete, "chat:write"),
    ApiMethod("chat.postEphemeral", 4, post_ephemeral, "chat:write"),
    ApiMethod("chat.getPermalink", 4, get_permalink),
)
