"""Finds the elements that a person can click or fill in, and makes their actions."""

from collections.abc import Iterable, Iterator

from playground.slack.slack_state import Json

CHOICES = frozenset({"static_select", "radio_buttons", "overflow", "external_select"})
SELECTED = {
    "multi_users_select": "selected_users",
    "multi_conversations_select": "selected_conversations",
    "multi_channels_select": "selected_channels",
    "users_select": "selected_user",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
}
CLICKED = frozenset({"button", "overflow", "icon_button", "feedback_buttons"})
TEXT_INPUTS = frozenset({"plain_text_input", "url_text_input", "email_text_input", "number_input"})


def elements_of(blocks: Iterable[Json]) -> Iterator[tuple[Json, Json]]:
    """Every element that has an action_id, with the block that holds it."""
    for block in blocks:
        nested = [*block.get("elements", []), block.get("accessory"), block.get("element")]
        for element in nested:
            if isinstance(element, dict) and element.get("action_id"):
                yield block, element


def find_element(
    blocks: Iterable[Json], action_id: str, value: str | None = None
) -> tuple[Json, Json] | None:
    """The element with an action_id, and with a value when several share the action."""
    for block, element in elements_of(blocks):
        if element["action_id"] != action_id:
            continue
        if value is None or element.get("type") != "button" or element.get("value") == value:
            return block, element
    return None


def action_of(block: Json, element: Json, value: str | None, action_ts: str) -> Json:
    """The entry of `actions` that a click sends."""
    kind = element["type"]
    action: Json = {
        "type": kind,
        "action_id": element["action_id"],
        "block_id": block.get("block_id", ""),
        "action_ts": action_ts,
    }
    if kind == "feedback_buttons":
        side = element.get(f"{value or 'positive'}_button", {})
        return action | {"text": side.get("text"), "value": side.get("value", "")}
    if kind not in ("button", "icon_button"):
        return action | input_value(element, value)
    action["text"] = element.get("text")
    action |= {key: element[key] for key in ("value", "style", "url") if key in element}
    return action


def input_value(element: Json, value: object) -> Json:
    """Return the value of an element after a person typed or chose `value` (None: initial)."""
    kind = element.get("type", "")
    if kind in TEXT_INPUTS:
        chosen = element.get("initial_value") if value is None else str(value)
        return {"type": kind, "value": chosen}
    if kind in CHOICES:
        option = element.get("initial_option") if value is None else _option(element, str(value))
        return {"type": kind, "selected_option": option}
    if kind in ("checkboxes", "multi_static_select"):
        initial = element.get("initial_options", [])
        names = value if isinstance(value, list) else []
        chosen = initial if value is None else [_option(element, str(name)) for name in names]
        return {"type": kind, "selected_options": chosen}
    key = SELECTED.get(kind, "value")
    initial_key = key.replace("selected", "initial")
    return {"type": kind, key: element.get(initial_key) if value is None else value}


def _option(element: Json, value: str) -> Json:
    for option in element.get("options", []):
        if value in (option.get("value"), option.get("text", {}).get("text")):
            return dict(option)
    # An external select's options live in the app; the value is all that is known here.
    return {"text": {"type": "plain_text", "text": value}, "value": value}
