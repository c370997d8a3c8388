"""Text of models at a git host: read by a real parser, nothing of it has an effect."""

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.domain.inert_markdown import inert_markdown, inert_words

PARSER = MarkdownIt("commonmark").enable("table")
LIVE = re.compile(
    r"(?<![A-Za-z0-9])@[A-Za-z0-9_]|#[0-9]|![0-9]|(?<![A-Za-z0-9])gh-[0-9]"
    r"|/(?:issues|pull|discussions)/[0-9]",
    re.IGNORECASE,
)
PIECES = (
    "`", "``", "```", "````", "~~~", "\n", "\n\n", "\n```\n", " ", "  ", "    ", "\t", "x", "\\",
    "@ana", "#12", "acme/api#3", "GH-4", "!5", "Closes ", "_", "*", "**", "-", "- ", "1. ", "> ",
    "[a](", "[a]: ", ")", "[", "]", "](", "![", "!", "(", "<img src=x>", "<b", ">", "<!--", "-->",
    "&#64;", "&commat;", "&#35;", "&num;", "&#96;", "&#49;", "&amp;", "|", "\n|-|-|\n", "---",
    "https://git.invalid/a/b/issues/1", "<https://git.invalid/a/b/pull/2>", "$$", "#", "\"", "\'",
)  # fmt: skip


def tokens_of(markdown: str) -> Iterator[Token]:
    for token in PARSER.parse(markdown):
        yield token
        yield from token.children or ()


def effects(markdown: str) -> list[str]:
    """Everything that a git host would act upon."""
    seen = []
    for token in tokens_of(markdown):
        if token.type == "text" and LIVE.search(token.content):
            seen.append(f"text: {token.content}")
        elif token.type in {"image", "html_inline", "html_block"}:
            seen.append(f"{token.type}: {token.content}")
        elif token.type == "link_open" and LIVE.search(str(token.attrs["href"])):
            seen.append(f"link: {token.attrs['href']}")
    return seen


@pytest.mark.parametrize(
    "text",
    [
        "Fixes #12 by @ana", "Closes acme/api#12", "fixes: GH-7", "_GH-7_", "**@ana**", "_@ana_",
        "*a*@ana", "@acme/team", "see acme/api!12", "Resolves https://git.invalid/acme/api/issues/3",
        "[x](https://git.invalid/acme/api/pull/3)", "[x]\n\n[x]: https://git.invalid/a/b/issues/3",
        "<https://git.invalid/acme/api/discussions/3>", "![x](https://evil.invalid/a.png)",
        "![x][1]\n\n[1]: https://evil.invalid/a.png", "<img src=https://evil.invalid/a.png>",
        "<picture><source srcset=x></picture>", "&#64;ana", "&commat;ana", "&#x40;ana", "&#35;12",
        "#&#49;2", "GH&#45;12", "\\`@ana\\`", "a ``` b @ana", "`a\nb` @ana `c`",
        "[a](`)@ana`b` `", "[a](\n`)@ana`b` `", "|`a|@ana|b`|\n|-|-|-|", "- a\n  ```\nx @ana",
        "> ```\nx @ana\n```\n", "  ```\nx\n```\n@ana", "`a\n```\nb` @ana\n```\n@ana `",
        "<!-- #12 -->",
    ],
)  # fmt: skip
def test_each_of_these_has_an_effect_and_then_none(text: str) -> None:
    assert effects(text)
    assert effects(inert_markdown(text)) == []


@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_no_mixture_of_marks_and_code_has_an_effect(text: str) -> None:
    assert effects(inert_markdown(text)) == []


@given(st.text(max_size=60))
def test_words_look_the_same_and_stay_as_they_are_the_second_time(text: str) -> None:
    once = inert_words(text)
    assert inert_words(once) == once
    assert not LIVE.search(once)


@pytest.mark.parametrize(
    "text",
    [
        "Uses `@vercel/x #1` and ``a ` #2``.",
        "```js\nimport a from '@acme/a' // #1\n```\nThen `#2`.",
        "~~~\n```\n@x\n~~~\n\n```\n<T>(x: T) => #3\n```",
        "| a | b |\n|---|---|\n| `@x` | `#1` |",
        "Two orders share a time; 3 < 4 & react@18.2, mail ana@acme.test.\n\n# Why\n\n- [x] so",
        "&lt;b&gt; &amp; &quot;",
    ],
)
def test_code_and_plain_words_stay_as_they_are(text: str) -> None:
    assert inert_markdown(text) == text


@pytest.mark.parametrize(
    "text", ["`fixes #12`", "```\nCloses acme/api#12\n```", "~~~\nfix: #12\n~~~"]
)
def test_no_closing_word_is_spared_in_code_since_a_commits_message_may_hold_it(text: str) -> None:
    assert "#\u200b12" in inert_markdown(text)


@pytest.mark.parametrize(
    "piece",
    ["`", "a`", "[", "![", "<a", "&#64;", "@a", "close ", "-", "- ```", "\\`", "#", "/issues/"],
)
def test_hostile_text_takes_no_longer_than_it_is_long(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.perf_counter()
    inert_markdown(text)
    inert_markdown("```\n" + text)
    assert time.perf_counter() - started < 2
