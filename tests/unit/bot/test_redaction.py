import base64
import json
import secrets
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st
from pydantic import SecretStr

from bot.redaction import HIDDEN, Redactor, hidden_in, worth_hiding
from tests.hostile.growth import TIMES_SLOWER, growth

SECRET = 'canary K3/+f9="x"\\y&z??>~>>'
KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "canaryLineOfAKey0123456789\n" * 3


@pytest.fixture
def redact() -> Redactor:
    return Redactor([SECRET, KEY, "canary"])


@pytest.mark.parametrize(
    "encoded",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
        KEY,
        json.dumps(KEY)[1:-1],
        "12: canaryLineOfAKey0123456789",
    ],
)
def test_a_known_value_is_hidden_in_its_common_encodings(redact: Redactor, encoded: str) -> None:
    hidden = redact(f"before {encoded} after")
    assert HIDDEN in hidden
    assert encoded not in hidden
    assert hidden.startswith("before ")
    assert redact.holds(encoded)
    assert redact.holds(encoded.encode())


@pytest.mark.parametrize("before", ["", "a", "ab", "x-access-token:"])
@pytest.mark.parametrize("after", ["", "z", "zy"])
def test_a_value_is_seen_inside_a_longer_base64(before: str, after: str) -> None:
    redact = Redactor(["canary-token-0123456789"])
    whole = f"{before}canary-token-0123456789{after}".encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        hidden = redact(f"Basic {encode(whole).decode()}")
        assert HIDDEN in hidden
        assert len(hidden) < 45


@pytest.mark.parametrize(
    "shape",
    [
        "sk-or-v1-0123456789", "ghp_0123456789abcdef0123", "github_pat_0123456789abcdef",
        "glpat-0123456789abcdef0", "xoxb-1234567890-abc", "xapp-1-A0-123456",
        "agt_0123456789abcdef.x", "AKIA0123456789ABCDEF",
        "-----BEGIN EC PRIVATE KEY-----\ncanarycanarycanary\n-----END EC PRIVATE KEY-----",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret_is_hidden_and_not_taken_for_a_known_one(shape: str) -> None:
    redact = Redactor()
    assert redact(f"a {shape} b") == f"a {HIDDEN} b"
    assert redact.known(shape) == shape
    assert not redact.holds(shape)


@pytest.mark.parametrize(
    "words",
    [
        "agent/sswzsk-twelve-steps-of-2026-and-more", "task-0123456789abcdef0123",
        "the highs_and_lows_of_something_long", "sk-learn-integration-tests",
        "risk-assessment-2026-11",
        "lengths_0123456789abcdef01", "maxagt_0123456789abcdef0", "gho_is_a_prefix_of_tokens",
    ],
)  # fmt: skip
def test_ordinary_names_are_no_shapes(words: str) -> None:
    assert Redactor()(words) == words


def test_values_are_learned_while_it_runs_and_short_ones_are_not() -> None:
    redact = Redactor(["", "abc", "ollama"])
    assert redact("abc ollama canary-later") == "abc ollama canary-later"
    redact.add("canary-later", "de")
    assert redact("abc de canary-later") == f"abc de {HIDDEN}"


def test_the_longer_of_two_values_is_hidden_whole() -> None:
    redact = Redactor(["canary-one", "canary-one-longer", "canary-other"])
    assert redact("canary-one-longer canary-one canary-other canary") == (
        f"{HIDDEN} {HIDDEN} {HIDDEN} canary"
    )


def test_tokens_of_agents_are_hidden_for_a_while() -> None:
    redact = Redactor()
    token_of = redact.hiding(lambda agent_id: SecretStr(f"canary-token-{agent_id}"))
    for number in range(150):
        token_of(f"{number:03d}")
    assert redact("canary-token-149") == HIDDEN
    assert redact("canary-token-000") == "canary-token-000"


@given(st.lists(st.text(min_size=12, max_size=20), min_size=1, max_size=8), st.data())
def test_no_known_value_survives_in_any_text(values: list[str], data: st.DataObject) -> None:
    redact = Redactor(values)
    value = data.draw(st.sampled_from(values))
    text = data.draw(st.text(max_size=10)) + value + data.draw(st.text(max_size=10))
    assert redact.holds(text)
    assert HIDDEN in redact(text)


def test_strings_are_replaced_wherever_they_are_in_a_value() -> None:
    value = {"a": ["x", {"b": ("x", 1, None)}], "x": True}
    assert hidden_in(value, lambda text: text.upper()) == {
        "a": ["X", {"b": ("X", 1, None)}],
        "x": True,
    }


@pytest.mark.parametrize(
    ("value", "worth"),
    [
        ("production", False), ("the quick brown fox", False), ("aaaa1111", False),
        ("k3f9-x", False), ("k3f9abcd", True), ("hunter2-hunter2", True),
    ],
)  # fmt: skip
def test_plain_words_are_not_hidden_everywhere(value: str, worth: bool) -> None:
    assert worth_hiding(value) is worth


def test_hostile_text_takes_no_longer_than_it_is_long() -> None:
    redact = Redactor(["canary-token-0123456789"])
    for hostile in ("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----" + "A" * 4_000,
                    "sk-", "canary-token-", "-----BEGIN " + " " * 30):  # fmt: skip
        text = hostile * (200_000 // len(hostile))
        started = time.perf_counter()
        redact(text)
        assert time.perf_counter() - started < 1


def test_a_line_takes_microseconds_whatever_is_known() -> None:
    redact = Redactor(secrets.token_urlsafe(30) for _ in range(100))
    line = (
        "2026-11-26 12:00:00 INFO bot.agents.lifecycle.run: the container of k3f9ab is gone again "
        * 3
    )
    redact(line)
    started = time.perf_counter()
    for _ in range(100):
        redact(line)
    assert (time.perf_counter() - started) / 100 < 0.001


def test_of_values_that_begin_alike_the_longest_is_hidden() -> None:
    beginning = "canary-0815-" * 10
    redact = Redactor([f"{beginning}a", f"{beginning}a-and-more", beginning])
    assert redact(f"<{beginning}a-and-more>") == f"<{HIDDEN}>"
    assert redact(f"<{beginning}a-and-mor>") == f"<{HIDDEN}-and-mor>"
    assert redact(f"<{beginning}x>") == f"<{HIDDEN}x>"
    assert redact(f"<{beginning[:-1]}>") == f"<{beginning[:-1]}>"


def test_a_long_value_does_not_multiply_the_time_of_a_text_like_it() -> None:
    def hide(sample: tuple[Redactor, str]) -> object:
        redact, text = sample
        return redact(text)

    def sample(chars: int) -> tuple[Redactor, str]:
        redact = Redactor(["a" * chars + "-0815"])
        redact("compiled once")
        return redact, "a" * 10 * chars

    assert growth(hide, sample, 500) < TIMES_SLOWER
