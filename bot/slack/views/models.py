"""Draws and reads the form that changes an agent's model, by the provider's list."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from bot.domain.model_offer import ModelOffer, matching_offers
from bot.domain.quoting import code
from bot.domain.settings_command import checked_model
from bot.errors import InvalidCommand
from bot.slack.views.blocks import MOST_OPTIONS, OPTION_CHARS, Block, context, option
from bot.slack.views.lists import price_of
from bot.slack.views.modal import ModalLocation

CALLBACK = "agent_model_form"
# The menu's action_id: its options are asked for while a person types in it.
MODEL = "model_choice"
TITLE = "Change the model"


def model_form(place: ModalLocation, current: str) -> dict[str, Any]:
    """Returns the modal; whose model it is travels in its metadata."""
    menu: Block = {
        "type": "input",
        "block_id": MODEL,
        "label": {"type": "plain_text", "text": "Model"},
        "element": {
            "type": "external_select",
            "action_id": MODEL,
            "min_query_length": 0,
            "placeholder": {"type": "plain_text", "text": "Search, or type a name"},
        },
    }
    hint = f"Now: {code(current, 80)}. The conversation goes on with the new one."
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": place.packed(),
        "title": {"type": "plain_text", "text": TITLE},
        "submit": {"type": "plain_text", "text": "Change"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [menu, context(hint)],
    }


def model_options(offers: Sequence[ModelOffer], typed: str) -> list[Block]:
    """Returns the options for a typed text: models that can work, and the name as typed.

    A server may serve what it does not list; the name is checked when it is chosen.
    """
    usable = [
        offer
        for offer in matching_offers(offers, typed)
        if offer.takes_tools is not False and _is_name(offer.id)
    ]
    shown = [option(offer.id, _label(offer)) for offer in usable if len(offer.id) <= OPTION_CHARS][
        : MOST_OPTIONS - 1
    ]
    name = typed.strip()
    if len(name) <= OPTION_CHARS and name not in {offer.id for offer in offers}:
        with suppress(InvalidCommand):  # it may be no whole name yet
            shown.append(option(checked_model(name), name))
    return shown


def _is_name(text: str) -> bool:
    try:
        return bool(checked_model(text))
    except InvalidCommand:
        return False


def chosen_model(view: Mapping[str, Any]) -> str:
    """Returns the model in a submission; "" for none."""
    values = view.get("state", {}).get("values", {})
    chosen = values.get(MODEL, {}).get(MODEL, {}).get("selected_option") or {}
    try:
        return checked_model(str(chosen.get("value") or ""))
    except InvalidCommand:
        return ""


def _label(offer: ModelOffer) -> str:
    label = f"{offer.id} · {price_of(offer)}"
    return label if len(label) <= OPTION_CHARS else offer.id
