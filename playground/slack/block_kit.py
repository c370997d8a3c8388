"""Block Kit, block by block: required fields, sizes and counts, with a pointer to each fault."""

from collections.abc import Callable
from typing import Any

from playground.slack.slack_state import Json

MAX_TEXT = 40_000
MAX_ID = 255
TASK_STATES = ("pending", "in_progress", "complete", "error")


class Problems:
    """Collects what is wrong, each with the JSON pointer to it."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, pointer: str, message: str) -> None:
        self.messages.append(f"[ERROR] {message} [json-pointer:{pointer}]")

    def mapping(self, value: object, pointer: str) -> Json:
        if isinstance(value, dict):
            return value
        self.add(pointer, "must provide an object")
        return {}

    def items(self, value: object, pointer: str, most: int, least: int = 1) -> list[Any]:
        if not isinstance(value, list):
            self.add(pointer, "must provide an array")
            return []
        if len(value) > most:
            self.add(pointer, f"no more than {most} items allowed")
        if len(value) < least:
            self.add(pointer, f"no fewer than {least} items allowed")
        return value

    def string(self, value: object, pointer: str, most: int, least: int = 1) -> str:
        if not isinstance(value, str):
            self.add(pointer, "must provide a string")
            return ""
        if len(value) > most:
            self.add(pointer, f"must be less than {most + 1} characters")
        if len(value) < least:
            self.add(pointer, f"must be more than {least - 1} characters")
        return value

    def optional(self, block: Json, name: str, pointer: str, most: int) -> None:
        if block.get(name) is not None:
            self.string(block[name], f"{pointer}/{name}", most, 0)

    def text(self, value: object, pointer: str, most: int, *, plain: bool = False) -> None:
        text = self.mapping(value, pointer)
        if text:
            kinds = ("plain_text",) if plain else ("plain_text", "mrkdwn")
            if text.get("type") not in kinds:
                self.add(f"{pointer}/type", f"unsupported type: {text.get('type')}")
            self.string(text.get("text"), f"{pointer}/text", most)


def complete(value: object, new_id: Callable[[str], str]) -> None:
    """Add what Slack adds to accepted blocks: block ids, `emoji` and `verbatim`."""
    if isinstance(value, list):
        for block in value:
            if isinstance(block, dict):
                block.setdefault("block_id", new_id("b"))
            _complete_texts(block)


def complete_view(spec: Json, new_id: Callable[[str], str]) -> None:
    """The same for a view, whose title and buttons are texts, too."""
    complete(spec.get("blocks"), new_id)
    _complete_texts([spec.get(name) for name in ("title", "submit", "close")])


def _complete_texts(value: object) -> None:
    if isinstance(value, list):
        for item in value:
            _complete_texts(item)
    elif isinstance(value, dict):
        if value.get("type") == "plain_text":
            value.setdefault("emoji", True)
        elif value.get("type") == "mrkdwn":
            value.setdefault("verbatim", False)
        for item in value.values():
            _complete_texts(item)


def check_block(problems: Problems, block: Json, pointer: str, known: frozenset[str]) -> None:
    kind = block.get("type")
    problems.optional(block, "block_id", pointer, MAX_ID)
    if kind not in known:
        problems.add(f"{pointer}/type", f"unsupported type: {kind}")
    elif check := CHECKS.get(str(kind)):
        check(problems, block, pointer)


def _section(problems: Problems, block: Json, pointer: str) -> None:
    if not block.get("text") and not block.get("fields"):
        problems.add(pointer, "missing required field: text")
    if block.get("text"):
        problems.text(block["text"], f"{pointer}/text", 3_000)
    if block.get("fields") is not None:
        for index, item in enumerate(problems.items(block["fields"], f"{pointer}/fields", 10)):
            problems.text(item, f"{pointer}/fields/{index}", 2_000)
    if block.get("accessory"):
        _element(problems, block["accessory"], f"{pointer}/accessory")


def _header(problems: Problems, block: Json, pointer: str) -> None:
    problems.text(block.get("text"), f"{pointer}/text", 150, plain=True)


def _context(problems: Problems, block: Json, pointer: str) -> None:
    for index, item in enumerate(problems.items(block.get("elements"), f"{pointer}/elements", 10)):
        here = f"{pointer}/elements/{index}"
        if problems.mapping(item, here).get("type") == "image":
            _image(problems, item, here)
        else:
            problems.text(item, here, 3_000)


def _actions(problems: Problems, block: Json, pointer: str) -> None:
    elements = problems.items(block.get("elements"), f"{pointer}/elements", 25)
    for index, item in enumerate(elements):
        _element(problems, item, f"{pointer}/elements/{index}")
    ids = [item.get("action_id") for item in elements if isinstance(item, dict)]
    if len(named := [i for i in ids if i]) != len(set(named)):
        problems.add(f"{pointer}/elements", "action_ids must be unique in a block")


def _element(problems: Problems, value: object, pointer: str) -> None:
    element = problems.mapping(value, pointer)
    problems.optional(element, "action_id", pointer, MAX_ID)
    match element.get("type"):
        case "button":
            problems.text(element.get("text"), f"{pointer}/text", 75, plain=True)
            problems.optional(element, "value", pointer, 2_000)
            problems.optional(element, "url", pointer, 3_000)
            if element.get("style") not in (None, "primary", "danger"):
                problems.add(f"{pointer}/style", "must be primary or danger")
        case "overflow":
            _options(problems, element.get("options"), pointer, 5)
        case "static_select" | "multi_static_select" if "options" in element:
            _options(problems, element["options"], pointer, 100)
        case "radio_buttons" | "checkboxes":
            _options(problems, element.get("options"), pointer, 10)
        case "image":
            _image(problems, element, pointer)
        case str():
            if element.get("placeholder"):
                problems.text(element["placeholder"], f"{pointer}/placeholder", 150, plain=True)
        case _:
            problems.add(f"{pointer}/type", "missing required field: type")


def _options(problems: Problems, value: object, pointer: str, most: int) -> None:
    for index, item in enumerate(problems.items(value, f"{pointer}/options", most)):
        here = f"{pointer}/options/{index}"
        option = problems.mapping(item, here)
        problems.text(option.get("text"), f"{here}/text", 75)
        problems.string(option.get("value"), f"{here}/value", 150)


def _image(problems: Problems, block: Json, pointer: str) -> None:
    if not block.get("slack_file"):
        problems.string(block.get("image_url"), f"{pointer}/image_url", 3_000)
    problems.string(block.get("alt_text"), f"{pointer}/alt_text", 2_000)


def _markdown(problems: Problems, block: Json, pointer: str) -> None:
    # The upper bound counts all markdown blocks together; check_blocks adds them up.
    problems.string(block.get("text"), f"{pointer}/text", MAX_TEXT)


def _plan(problems: Problems, block: Json, pointer: str) -> None:
    problems.string(_plain(block.get("title")), f"{pointer}/title", MAX_ID)
    for index, item in enumerate(problems.items(block.get("tasks", []), f"{pointer}/tasks", 50, 0)):
        _task_card(problems, problems.mapping(item, f"{pointer}/tasks/{index}"), pointer)


def _task_card(problems: Problems, block: Json, pointer: str) -> None:
    problems.string(block.get("task_id"), f"{pointer}/task_id", MAX_ID)
    problems.string(_plain(block.get("title")), f"{pointer}/title", MAX_ID)
    if block.get("status", "pending") not in TASK_STATES:
        problems.add(f"{pointer}/status", f"must be one of {', '.join(TASK_STATES)}")
    for name in ("details", "output"):
        part = block.get(name)
        if part is not None and problems.mapping(part, f"{pointer}/{name}").get("type") != (
            "rich_text"
        ):
            problems.add(f"{pointer}/{name}/type", "must be rich_text")


def _plain(value: object) -> object:
    return value.get("text") if isinstance(value, dict) else value


def _rich_text(problems: Problems, block: Json, pointer: str) -> None:
    problems.items(block.get("elements"), f"{pointer}/elements", 1_000, 0)


def _context_actions(problems: Problems, block: Json, pointer: str) -> None:
    for index, item in enumerate(problems.items(block.get("elements"), f"{pointer}/elements", 5)):
        kind = problems.mapping(item, f"{pointer}/elements/{index}").get("type")
        if kind not in ("feedback_buttons", "icon_button"):
            problems.add(f"{pointer}/elements/{index}/type", f"unsupported type: {kind}")


def _table(problems: Problems, block: Json, pointer: str) -> None:
    for index, row in enumerate(problems.items(block.get("rows"), f"{pointer}/rows", 100)):
        problems.items(row, f"{pointer}/rows/{index}", 20)


def _input(problems: Problems, block: Json, pointer: str) -> None:
    problems.text(block.get("label"), f"{pointer}/label", 2_000, plain=True)
    _element(problems, block.get("element"), f"{pointer}/element")


CHECKS: dict[str, Callable[[Problems, Json, str], None]] = {
    "section": _section,
    "header": _header,
    "context": _context,
    "actions": _actions,
    "image": _image,
    "markdown": _markdown,
    "plan": _plan,
    "task_card": _task_card,
    "rich_text": _rich_text,
    "context_actions": _context_actions,
    "table": _table,
    "input": _input,
}
