"""Makes Block Kit's blocks from data, each within Slack's limits."""

from collections.abc import Sequence
from typing import Any

from bot.domain.quoting import cut

Block = dict[str, Any]

SECTION_CHARS = 3_000
CONTEXT_CHARS = 2_000
BUTTON_CHARS = 75
OPTION_CHARS = 75
MOST_OPTIONS = 100


def section(mrkdwn: str) -> Block:
    """Returns a paragraph of mrkdwn; text of others in it is escaped already."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(mrkdwn, SECTION_CHARS)}}


def context(mrkdwn: str) -> Block:
    """Returns a block of small grey text."""
    element = {"type": "mrkdwn", "text": cut(mrkdwn, CONTEXT_CHARS)}
    return {"type": "context", "elements": [element]}


def markdown(text: str) -> Block:
    """Returns a model's markdown, as Slack renders it."""
    return {"type": "markdown", "text": text}


def button(label: str, action_id: str, value: str, style: str | None = None) -> Block:
    """Returns a button; `value` comes back with the click."""
    made: Block = {
        "type": "button",
        "text": {"type": "plain_text", "text": cut(label, BUTTON_CHARS)},
        "action_id": action_id,
        "value": value,
    }
    if style:
        made["style"] = style
    return made


def option(value: str, label: str = "") -> Block:
    """Returns one choice of a menu; `value` and label within OPTION_CHARS."""
    return {
        "text": {"type": "plain_text", "text": label or value, "emoji": False},
        "value": value,
    }


def actions(buttons: Sequence[Block]) -> Block:
    """Returns a row of buttons."""
    return {"type": "actions", "elements": list(buttons)}
