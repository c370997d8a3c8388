"""What the menu of models offers for what was typed."""

from bot.domain.model_offer import ModelOffer
from bot.slack.views.models import chosen_model, model_options

OFFERS = [
    ModelOffer("acme/big", 200_000, 3.0, 15.0, takes_tools=True),
    ModelOffer("acme/chat", takes_tools=False),
    ModelOffer("local/one"),
    ModelOffer("x" * 80),
    ModelOffer("y" * 70, None, 1.0, 1.0),
]


def offered(typed: str) -> dict[str, str]:
    return {one["value"]: one["text"]["text"] for one in model_options(OFFERS, typed)}


def test_models_that_can_work_are_offered_with_their_price() -> None:
    assert offered("") == {
        "acme/big": "acme/big · $3.00 / $15.00",
        "local/one": "local/one · price unknown",
        "y" * 70: "y" * 70,
    }


def test_what_is_typed_can_be_taken_when_it_is_not_listed() -> None:
    assert list(offered("acme/b")) == ["acme/big", "acme/b"]
    assert list(offered("acme/big")) == ["acme/big"]
    assert offered("acme/chat") == {}
    assert list(offered(" fault/429 ")) == ["fault/429"]
    assert offered("no name") == offered("z" * 76) == offered("<!channel>") == {}


def test_no_more_than_a_menu_takes() -> None:
    many = [ModelOffer(f"acme/{number}") for number in range(500)]
    assert len(model_options(many, "acme/")) <= 100


def test_a_submission_without_a_name_chooses_nothing() -> None:
    held = {"model_choice": {"model_choice": {"selected_option": {"value": "a b"}}}}
    assert chosen_model({}) == chosen_model({"state": {"values": held}}) == ""
