"""Messages as plain text, for a terminal and for tests that look for words."""

from collections.abc import Callable, Iterator

from playground.slack.slack_state import Json

TASK_MARKS = {"pending": "☐", "in_progress": "⋯", "complete": "✓", "error": "✗"}


def message_text(message: Json) -> str:
    """Return the text of a message as a person reads it: its blocks, or its text without blocks."""
    blocks = message.get("blocks") or []
    lines = [line for block in blocks for line in block_lines(block)]
    names = [f"[file {file['name']}]" for file in message.get("files", [])]
    return "\n".join([*(lines or [message.get("text", "")]), *names]).strip()


def block_lines(block: Json) -> Iterator[str]:
    """The lines of one block; an unknown one shows whatever text it has."""
    lines = LINES.get(block.get("type", ""))
    if lines is not None:
        yield from lines(block)
    else:
        yield _text(block.get("text") or block.get("label") or block.get("alt_text"))


def _section(block: Json) -> Iterator[str]:
    yield from _texts([block.get("text"), *block.get("fields", [])])
    if accessory := block.get("accessory"):
        yield f"[ {_label(accessory)} ]"


def _plan(block: Json) -> Iterator[str]:
    yield _text(block.get("title"))
    for task in block.get("tasks", []):
        yield from _task_card(task)


def _task_card(block: Json) -> Iterator[str]:
    mark = TASK_MARKS.get(block.get("status", "pending"), "")
    yield f"{mark} {_text(block.get('title'))}"
    for part in ("details", "output"):
        if block.get(part):
            yield f"    {rich_text_string(block[part])}"


def _table(block: Json) -> Iterator[str]:
    for row in block.get("rows", []):
        yield " | ".join(_text(cell) or rich_text_string(cell) for cell in row)


def _buttons(block: Json) -> Iterator[str]:
    yield " ".join(f"[ {_label(element)} ]" for element in block.get("elements", []))


LINES: dict[str, Callable[[Json], Iterator[str]]] = {
    "divider": lambda _block: iter(["---"]),
    "section": _section,
    "context": lambda block: iter([" ".join(_texts(block.get("elements", [])))]),
    "actions": _buttons,
    "context_actions": _buttons,
    "plan": _plan,
    "task_card": _task_card,
    "rich_text": lambda block: iter([rich_text_string(block)]),
    "table": _table,
}


def rich_text_string(value: Json) -> str:
    """The text of a rich_text block, whatever its nesting."""
    if value.get("type") == "user":
        return f"<@{value.get('user_id')}>"
    if value.get("type") == "emoji":
        return f":{value.get('name')}:"
    if "elements" in value:
        return "".join(rich_text_string(element) for element in value["elements"])
    return str(value.get("text") or value.get("url") or "")


def _texts(values: list[Json | None]) -> Iterator[str]:
    for value in values:
        if value:
            yield _text(value)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return str(value.get("text") or value.get("alt_text") or "")
    return str(value or "")


def _label(element: Json) -> str:
    text = _text(element.get("text") or element.get("placeholder"))
    return text or str(element.get("action_id") or element.get("type"))
