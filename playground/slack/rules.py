"""Enforces what Slack accepts as a message or a view: sizes, counts, block types, metadata."""

from collections.abc import Iterator

from playground.slack.block_kit import MAX_ID, Problems, check_block
from playground.slack.errors import SlackError, invalid_arguments
from playground.slack.slack_state import Json

MAX_UPDATE_TEXT = 4_000
MAX_MARKDOWN = 12_000
MAX_ALL_BLOCKS = 13_200
MAX_MESSAGE_BLOCKS = 50
MAX_VIEW_BLOCKS = 100
MAX_VIEW_BYTES = 250_000
MAX_VIEW_TITLE = 24
MAX_METADATA = 3_000
VIEW_BLOCKS = frozenset(
    {"section", "header", "context", "actions", "divider", "image", "input", "rich_text"}
)
MESSAGE_BLOCKS = VIEW_BLOCKS - {"input"} | {
    "markdown",
    "plan",
    "task_card",
    "context_actions",
    "table",
    "video",
    "file",
}


def check_blocks(
    blocks: object, *, view: bool = False, refused: frozenset[str] = frozenset()
) -> list[Json]:
    """Return the blocks, whose types are not among the `refused`.

    Raises invalid_blocks_format, invalid_blocks or msg_blocks_too_long.
    """
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    problems = Problems()
    problems.items(blocks, "/blocks", MAX_VIEW_BLOCKS if view else MAX_MESSAGE_BLOCKS, 0)
    known = (VIEW_BLOCKS if view else MESSAGE_BLOCKS) - refused
    for index, block in enumerate(blocks):
        check_block(
            problems, problems.mapping(block, f"/blocks/{index}"), f"/blocks/{index}", known
        )
    ids = [block.get("block_id") for block in blocks if isinstance(block, dict)]
    if len(named := [i for i in ids if i]) != len(set(named)):
        problems.add("/blocks", "block_ids must be unique")
    if problems.messages:
        # The pointers help a person; the code is what programs branch on.
        messages = problems.messages
        raise SlackError(
            "invalid_blocks", errors=messages, response_metadata={"messages": messages}
        )
    markdown = sum(len(b["text"]) for b in blocks if b["type"] == "markdown")
    if not view and (markdown > MAX_MARKDOWN or sum(_lengths(blocks)) > MAX_ALL_BLOCKS):
        raise SlackError("msg_blocks_too_long")
    return blocks


def _lengths(value: object) -> Iterator[int]:
    """The length of every text that a person would read."""
    if isinstance(value, list):
        for item in value:
            yield from _lengths(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in ("text", "title") and isinstance(item, str):
                yield len(item)
            else:
                yield from _lengths(item)


def check_metadata(metadata: object) -> Json | None:
    if metadata in (None, ""):
        return None
    if (
        not isinstance(metadata, dict)
        or not isinstance(metadata.get("event_type"), str)
        or not isinstance(metadata.get("event_payload"), dict)
    ):
        raise SlackError("invalid_metadata_format")
    return metadata


def check_view(view: object) -> Json:
    """Return the view; raises invalid_arguments, invalid_blocks or view_too_large."""
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        raise invalid_arguments("failed to match a view type [json-pointer:/view/type]")
    if len(repr(view).encode()) > MAX_VIEW_BYTES:
        raise SlackError("view_too_large")
    problems = Problems()
    if view["type"] == "modal":
        problems.text(view.get("title"), "/view/title", MAX_VIEW_TITLE, plain=True)
    for name in ("submit", "close"):
        if view.get(name):
            problems.text(view[name], f"/view/{name}", MAX_VIEW_TITLE, plain=True)
    problems.optional(view, "private_metadata", "/view", MAX_METADATA)
    problems.optional(view, "callback_id", "/view", MAX_ID)
    if problems.messages:
        raise SlackError("invalid_arguments", response_metadata={"messages": problems.messages})
    blocks = check_blocks(view.get("blocks"), view=True)
    has_input = any(block["type"] == "input" for block in blocks)
    if has_input and view["type"] == "modal" and not view.get("submit"):
        raise invalid_arguments("submit is required with input blocks [json-pointer:/view]")
    return view
