"""Hides the secret values that the bot knows, in common encodings, and text that looks like one.

It cannot see a value that is cut, split, reversed, compressed, encrypted or encoded in a way that
is not listed at `_forms`: it guards against accidents, not against a program that wants to tell.
"""

import base64
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

HIDDEN = "[redacted]"
# Shorter values would hide plain words, and so would a key such as "ollama" for a local model.
MIN_CHARS = 6
_MIN_LETTERS = 12
_MIN_LINE_CHARS = 20
_MIN_ENCODED_BYTES = 9
_MIN_STORED_CHARS = 8
_MIN_DISTINCT_CHARS = 5
_MOST_PASSING = 100
# A pattern of whole values would try each of their characters at each place of some texts.
_BEGINNING_CHARS = 32

# Shapes of credentials that the bot may meet without knowing their value.
# They begin a word: the ids of agents and ordinary names may end in "sk" or "ghs".
_SHAPE = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-or-[\w-]{8,}|sk-(?=[\w-]{0,40}[0-9])[\w-]{16,}"
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[abeprs]-[\w-]{8,}|xapp-[\w-]{8,}|agt_[\w.-]{16,}|A[KS]IA[0-9A-Z]{16}"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]{16,8000}"
    r"(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?)"
)

Hide = Callable[[str], str]


class Redactor:
    """Replaces secret values in text; values may be added at any time, and count from then on."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._passing: dict[str, None] = {}
        self._forms: _KnownForms | None = None
        self._stale = False
        self.add(*values)

    def add(self, *values: str) -> None:
        """Hides these values from now on; one that is too short, or a plain word, is left out."""
        new = {value for value in values if not _is_plain(value)} - self._values
        if new:
            self._values |= new
            self._stale = True

    def add_passing(self, value: str) -> None:
        """Hides a value for as long as it is one of the newest hundred: a token of one agent."""
        if value in self._passing:
            return
        self._passing[value] = None
        if len(self._passing) > _MOST_PASSING:
            del self._passing[next(iter(self._passing))]
        self._stale = True

    def hiding(self, token_of: Callable[[str], SecretStr]) -> Callable[[str], SecretStr]:
        """Wraps a function so that its results are hidden from their first use on."""

        def hidden(agent_id: str) -> SecretStr:
            token = token_of(agent_id)
            self.add_passing(token.get_secret_value())
            return token

        return hidden

    def __call__(self, text: str) -> str:
        """Returns the text without known secrets, and without text that looks like one."""
        # Two passes take half the time of one pattern for both.
        return _SHAPE.sub(HIDDEN, self.known(text))

    def known(self, text: str) -> str:
        """Returns the text without the known values; text that only looks like a secret stays."""
        forms = self._compiled()
        return forms.replaced(text, HIDDEN) if forms else text

    def holds(self, data: str | bytes) -> bool:
        """Checks for a known value in text, or in bytes, which are read as UTF-8."""
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        forms = self._compiled()
        return forms is not None and any(forms.spans(text))

    def _compiled(self) -> "_KnownForms | None":
        """Returns the forms of every known value; they are compiled again after new values."""
        if self._stale:
            self._stale = False
            forms = {form for value in self._values | set(self._passing) for form in _forms(value)}
            self._forms = _KnownForms(forms) if forms else None
        return self._forms


class _KnownForms:
    """Finds many literals in a text, whose lengths do not multiply the time that it takes.

    A pattern finds their beginnings, and a comparison of memory tells whether the rest follows.
    """

    def __init__(self, forms: Collection[str]) -> None:
        self._pattern = re.compile(_trie_pattern(form[:_BEGINNING_CHARS] for form in forms))
        self._key_chars = min(_BEGINNING_CHARS, *map(len, forms))
        self._by_key: dict[str, list[str]] = {}
        for form in sorted(forms, key=len, reverse=True):
            self._by_key.setdefault(form[: self._key_chars], []).append(form)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yields where the forms begin and end: the first, at one place the longest."""
        at = 0
        while match := self._pattern.search(text, at):
            start = match.start()
            key = text[start : start + self._key_chars]
            form = next((form for form in self._by_key[key] if text.startswith(form, start)), "")
            at = start + max(len(form), 1)
            if form:
                yield start, at

    def replaced(self, text: str, word: str) -> str:
        """Returns the text with the word in the place of each form."""
        pieces, at = [], 0
        for start, end in self.spans(text):
            pieces += [text[at:start], word]
            at = end
        return "".join([*pieces, text[at:]]) if at else text


def _is_plain(value: str) -> bool:
    return len(value) < (_MIN_LETTERS if value.isascii() and value.isalpha() else MIN_CHARS)


def worth_hiding(value: str) -> bool:
    """Checks that hiding this value everywhere would hide a secret, and not a plain word."""
    return (
        len(value) >= _MIN_STORED_CHARS
        and len(set(value)) >= _MIN_DISTINCT_CHARS
        and not all(char.isalpha() or char.isspace() for char in value)
    )


def hidden_in(value: Any, hide: Hide) -> Any:  # noqa: ANN401  (JSON of any shape)
    """Returns the JSON value with every string in it passed through `hide`; keys stay."""
    match value:
        case str():
            return hide(value)
        case Mapping():
            return {key: hidden_in(item, hide) for key, item in value.items()}
        case list() | tuple():
            return type(value)(hidden_in(item, hide) for item in value)
        case _:
            return value


def _forms(value: str) -> Iterator[str]:
    """Yields the value as it is, and as tools and languages write it: JSON, URL, hex, base64."""
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield quote(value, safe="", errors="replace")
    yield quote_plus(value, errors="replace")
    if "\n" in value:
        # A file's lines are shown one by one, numbered or quoted.
        yield from (
            text for line in value.splitlines() if len(text := line.strip()) >= _MIN_LINE_CHARS
        )
    raw = value.encode("utf-8", "surrogatepass")
    if len(raw) >= _MIN_ENCODED_BYTES:
        yield raw.hex()
        yield raw.hex().upper()
        yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Yields the part of the base64 of any surrounding text that depends on the value alone."""
    for before in range(3):
        after = -(before + len(raw)) % 3
        encoded = base64.b64encode(b"\0" * before + raw + b"\0" * after).decode("ascii")
        first = -(-before * 8 // 6) if before else 0
        last = len(encoded) - (-(-after * 8 // 6) if after else 0)
        inner = encoded[first:last]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


_END = ""
_Trie = dict[str, Any]


def _trie_pattern(words: Iterable[str]) -> str:
    """Builds a pattern for many literals that reads each character of the text about once.

    A plain alternation would try every literal at every position.
    """
    root: _Trie = {}
    for word in words:
        node = root
        for char in word:
            node = node.setdefault(char, {})
        node[_END] = {}
    return _alternatives(root)


def _alternatives(node: _Trie) -> str:
    branches = []
    for char in sorted(key for key in node if key != _END):
        literal, child = re.escape(char), node[char]
        while len(child) == 1 and _END not in child:
            ((only, child),) = child.items()
            literal += re.escape(only)
        branches.append(literal + _alternatives(child))
    if not branches:
        return ""
    joined = f"(?:{'|'.join(branches)})"
    return f"{joined}?" if _END in node else joined
