import json
from collections.abc import Sequence

import pytest

from bot.domain.model_offer import ModelOffer, matching_offers
from bot.gateway.model.catalogue import offers_of, read_models
from bot.slack.views.lists import offers_text

BODY = {
    "data": [
        {
            "id": "acme/big",
            "context_length": 200_000,
            "pricing": {"prompt": "0.000003", "completion": "0.000015"},
            "supported_parameters": ["tools"],
        },
        {"id": "acme/chat", "context_length": 8_192, "supported_parameters": ["max_tokens"]},
        {"id": "local/one", "max_model_len": 4_096},
        {
            "id": "acme/odd",
            "context_length": -3,
            "pricing": {"prompt": "nan", "completion": [], "x": 1},
            "supported_parameters": "tools",
        },
        {"id": "acme/free", "pricing": {"prompt": "-1", "completion": 0}},
        {"id": "acme/hidden", "hidden": True},
        {"id": "x" * 500},
        {"id": ""},
    ]
}


def offers_in(body: bytes) -> Sequence[ModelOffer]:
    return offers_of(read_models(body) or {}, {})


def test_what_a_provider_lists_of_each_model() -> None:
    offers = {offer.id: offer for offer in offers_in(json.dumps(BODY).encode())}
    assert offers == {
        "acme/big": ModelOffer("acme/big", 200_000, 3.0, 15.0, takes_tools=True),
        "acme/chat": ModelOffer("acme/chat", 8_192, None, None, takes_tools=False),
        "local/one": ModelOffer("local/one", 4_096),
        "acme/odd": ModelOffer("acme/odd"),
        "acme/free": ModelOffer("acme/free", None, None, 0.0),
    }


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data": 5}', b'{"data": [{"id": 1}]}'])
def test_a_list_of_another_shape_is_none(body: bytes) -> None:
    assert read_models(body) is None


def test_a_search_finds_every_word_and_puts_the_usable_first() -> None:
    offers = offers_in(json.dumps(BODY).encode())
    assert [offer.id for offer in matching_offers(offers, "ACME")] == [
        *("acme/big", "acme/free", "acme/odd", "acme/chat")
    ]
    assert [offer.id for offer in matching_offers(offers, "acme ig")] == ["acme/big"]
    assert matching_offers(offers, "nothing") == []


def test_how_the_list_looks() -> None:
    offers = offers_in(json.dumps(BODY).encode())
    text = offers_text(offers, "acme")
    assert "`acme/big` · $3.00 / $15.00 · 200,000 tokens" in text
    assert "`acme/chat` · price unknown · 8,192 tokens · no tools" in text
    many = [ModelOffer(f"acme/{number}") for number in range(100)]
    assert "85 more" in offers_text(many, "")
    assert "<!channel>" not in offers_text([ModelOffer("<!channel>")], "")
    assert "<!here>" not in offers_text([], "<!here>")
