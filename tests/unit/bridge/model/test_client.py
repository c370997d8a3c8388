"""The bytes of a request: what JSON says they are, whatever was sent before."""

import json
from typing import Any

import pytest

from bridge.model.client import RequestBody

FIELDS = {"model": "m", "stream": True}


def messages_of(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def test_each_request_is_the_whole_conversation() -> None:
    body, messages = RequestBody(), messages_of("ä", "b", "c")
    summary = [messages[0], *messages_of("summary"), messages[2]]
    for sent in (messages[:1], messages, summary, messages[:2], [], messages):
        assert json.loads(body.encode_request(sent, FIELDS)) == {**FIELDS, "messages": sent}


def test_the_beginning_of_two_requests_is_the_same_bytes() -> None:
    body, messages = RequestBody(), messages_of("a", "b")
    first = body.encode_request(messages[:1], FIELDS)
    assert body.encode_request(messages, FIELDS).startswith(first.removesuffix(b"]}"))


def test_a_message_in_the_place_of_another_is_encoded_anew() -> None:
    body = RequestBody()
    body.encode_request(messages_of("old"), FIELDS)
    assert b"old" not in body.encode_request(messages_of("new"), FIELDS)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        RequestBody().encode_request(messages_of("\ud800"), FIELDS)
