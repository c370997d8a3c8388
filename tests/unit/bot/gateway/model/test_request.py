"""The body of a model call: what passes, what is refused, what it may cost."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bot.gateway.model.request import read_chat
from bot.gateway.upstream import RequestRefusedError

HELLO: dict[str, Any] = {"model": "acme/m", "messages": [{"role": "user", "content": "hello"}]}


def written(**changes: object) -> bytes:
    return json.dumps(HELLO | changes).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"[]", b'"x"', b"null", b"\xff", b"[" * 100_000, b'{"model": NaN}',
        b'{"model": Infinity}', b"1e999",
        written(messages=None), written(messages=[]), written(messages="x"),
        written(messages=["x"]), written(messages=[{"role": "user", "content": 5}]),
        written(messages=[{"role": "user", "content": ["x"]}]),
        written(messages=[{"role": "user", "content": [{"type": "file", "file": {}}]}]),
        written(messages=[{"role": "user", "content": [{"type": "input_audio"}]}]),
        written(model=None), written(model=""), written(model=5), written(model="m" * 201),
        written(model="acme/m:online"), written(models=["a"] * 20), written(models="a"),
        written(models=[None]), written(n=2), written(n=0), written(n="1"),
        written(max_tokens=0), written(max_tokens=-1), written(max_tokens="5"),
        written(max_tokens=True), written(max_tokens=1.5), written(max_completion_tokens=0),
        written(stream="yes"), written(tools={}), written(tools=[{"type": "web_search"}]),
        written(tools=["x"]), written(plugins=[{"id": "web"}]), written(web_search_options={}),
        written(provider={"sort": "throughput"}), written(service_tier="priority"),
        written(prediction={}), written(surprise=1),
    ],
)  # fmt: skip
def test_what_is_no_plain_call_is_refused(body: bytes) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        read_chat(body, ())
    assert caught.value.status == 400
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("allowed", "model", "passes"),
    [
        ((), "any/thing", True),
        (("acme/*",), "acme/m", True),
        (("acme/*",), "other/m", False),
        (("acme/*", "other/m"), "other/m", True),
        (("acme/m",), "ACME/m", False),
        (("acme/m",), "acme/m:nitro", False),
    ],
)
def test_only_allowed_models_pass(allowed: tuple[str, ...], model: str, passes: bool) -> None:
    for body in (written(model=model), written(model="acme/m", models=[model])):
        if passes:
            if allowed and model != "acme/m" and not any("acme" in pattern for pattern in allowed):
                continue
            read_chat(body, allowed)
        else:
            with pytest.raises(RequestRefusedError) as caught:
                read_chat(body, allowed)
            assert caught.value.status == 403


def test_a_name_given_twice_goes_out_as_it_was_understood() -> None:
    call = read_chat(b'{"model":"a","model":"b","messages":[{"content":"x"}]}', ("b",))
    assert json.loads(call.body(5))["model"] == "b"
    assert call.body(5).count(b'"model"') == 1


def test_half_a_surrogate_pair_passes_as_json_names_it() -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"\\ud800"}]}'
    call = read_chat(body, ())
    assert json.loads(call.body(5))["messages"] == json.loads(body)["messages"]


def test_a_limit_that_is_missing_fits_beside_the_prompt() -> None:
    call = read_chat(written(messages=[{"content": "a" * 90_000}]), ())
    assert call.limit(8_192, None) == 8_192
    assert 1_024 < call.limit(8_192, 32_768) < 3_000
    assert call.limit(8_192, 1_000) == 1_024
    assert read_chat(written(max_tokens=9_000), ()).limit(8_192, 1_000) == 8_192


def test_an_image_counts_for_more_than_its_address() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    call = read_chat(written(messages=[{"content": [part, part]}]), ())
    assert call.prompt_tokens > 32_000


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner)
    | st.dictionaries(st.sampled_from(sorted(HELLO)) | st.text(), inner), max_leaves=10,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_body_is_understood_or_refused(body: bytes) -> None:
    try:
        call = read_chat(body, ())
    except RequestRefusedError:
        return
    json.loads(call.body(1))
