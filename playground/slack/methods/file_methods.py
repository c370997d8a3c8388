"""The files.* methods and the upload URL between them."""

import mimetypes

from aiohttp import web

from playground.slack.arguments import CallArguments
from playground.slack.errors import SlackError, invalid_arguments
from playground.slack.methods.api_method import ApiMethod, own_channel
from playground.slack.objects import file_object
from playground.slack.rules import check_blocks
from playground.slack.slack_state import BOT_ID, BOT_USER_ID, Channel, File, Json, SlackMessage
from playground.slack.slack_workspace import SlackWorkspace

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_SNIPPET_BYTES = 1024 * 1024


async def get_upload_url(workspace: SlackWorkspace, args: CallArguments) -> Json:
    name = args.required("filename")
    size = args.number("length", 0)
    if size <= 0:
        raise invalid_arguments("must be a positive number [json-pointer:/length]")
    snippet_type = args.text("snippet_type")
    if snippet_type and size > MAX_SNIPPET_BYTES:
        raise SlackError("snippet_too_large")
    if size > MAX_FILE_BYTES:
        raise SlackError("file_upload_size_restricted")
    file = File(
        id=workspace.state.next_id("F0"),
        name=name,
        title=name,
        user=BOT_USER_ID,
        created=int(workspace.settings.clock()),
        snippet_type=snippet_type,
        declared_bytes=size,
        alt_text=args.text("alt_txt"),
    )
    workspace.state.files[file.id] = file
    token = workspace.state.next_token("upload")
    url = f"{workspace.trigger_tokens.base_url}/upload/{file.id}/{token}"
    return {"ok": True, "upload_url": url, "file_id": file.id}


async def receive_upload(workspace: SlackWorkspace, request: web.Request) -> web.Response:
    """The second step: the bytes, as the body itself or as the only file of a form."""
    file = workspace.state.files.get(request.match_info["file_id"])
    if file is None or file.content is not None:
        return web.Response(status=404, text="no such upload")
    if request.content_type == "multipart/form-data":
        form = await request.post()
        parts = [part for part in form.values() if isinstance(part, web.FileField)]
        content = parts[0].file.read() if parts else b""
    else:
        content = await request.read()
    if len(content) != file.declared_bytes:
        return web.Response(status=400, text="length differs from the declared one")
    file.content = content
    return web.Response(text=f"OK - {len(content)}")


async def send_file(workspace: SlackWorkspace, request: web.Request) -> web.Response:
    """A shared file's content, for the app's token; others are led to the page for signing in."""
    file = workspace.state.files.get(request.match_info["file_id"])
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    may = token == workspace.settings.bot_token and "files:read" in workspace.settings.scopes.split(
        ","
    )
    if not may:
        return web.Response(
            status=302, headers={"Location": f"{workspace.trigger_tokens.base_url}/?redir=files"}
        )
    channels = {channel for channel, _, _ in file.shares} if file else set()
    seen = [
        channel for channel in channels if BOT_USER_ID in workspace.state.channels[channel].members
    ]
    if file is None or file.content is None or not seen:
        return web.Response(status=404, text="file_not_found")
    workspace.feed.record("file_sent", file=file.id, bytes=len(file.content))
    content_type = mimetypes.guess_type(file.name)[0] or "text/plain"
    return web.Response(body=file.content, content_type=content_type)


def _listed_files(workspace: SlackWorkspace, args: CallArguments) -> list[File]:
    listed = args.json("files", "invalid_arguments")
    if not isinstance(listed, list) or not listed:
        raise invalid_arguments("missing required field: files")
    files = []
    for item in listed:
        file = workspace.state.files.get(item.get("id", "")) if isinstance(item, dict) else None
        if file is None or file.content is None or file.completed:
            raise SlackError("file_not_found")
        file.title = str(item.get("title") or file.name)
        files.append(file)
    return files


def _targets(workspace: SlackWorkspace, args: CallArguments) -> list[Channel]:
    named = args.text("channel_id") or args.text("channels")
    channels = [own_channel(workspace, name) for name in named.split(",") if name]
    thread_ts = args.text("thread_ts")
    if thread_ts:
        if len(channels) != 1:
            raise SlackError("invalid_arguments")
        root = channels[0].messages.get(thread_ts)
        if root is None or root.is_reply:
            raise SlackError("invalid_thread_ts")
    return channels


async def complete_upload(workspace: SlackWorkspace, args: CallArguments) -> Json:
    channels = _targets(workspace, args)
    files = _listed_files(workspace, args)
    blocks = args.json("blocks", "invalid_blocks_format")
    checked = None if blocks is None else check_blocks(blocks)
    for file in files:
        file.completed = True
    for channel in channels:
        message = SlackMessage(
            channel=channel.id,
            ts=workspace.state.next_ts(),
            user=BOT_USER_ID,
            text=args.text("initial_comment"),
            blocks=checked or [],
            thread_ts=args.text("thread_ts") or None,
            bot_id=BOT_ID,
            subtype="file_share",
            files=[file.id for file in files],
        )
        for file in files[1:]:
            file.shares.append((channel.id, message.ts, message.thread_ts))
        workspace.share_file(files[0], message)
    return {"ok": True, "files": [file_object(workspace.state, file) for file in files]}


async def info(workspace: SlackWorkspace, args: CallArguments) -> Json:
    file = workspace.state.files.get(args.required("file", "file_not_found"))
    if file is None or not file.completed:
        raise SlackError("file_not_found")
    return {
        "ok": True,
        "file": file_object(workspace.state, file),
        "comments": [],
        "response_metadata": {},
    }


METHODS = (
    ApiMethod("files.getUploadURLExternal", 4, get_upload_url, "files:write"),
    ApiMethod("files.completeUploadExternal", 4, complete_upload, "files:write"),
    ApiMethod("files.info", 4, info, "files:read"),
)
