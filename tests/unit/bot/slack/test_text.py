import pytest
from hypothesis import given, strategies as st

from bot.domain.quoting import code, cut, escaped, line
from bot.slack.views.splitting import split_markdown
from bot.slack.views.text import model_markdown, money, plain, seconds


def test_the_three_characters_are_escaped_once() -> None:
    assert escaped("a < b && c > d") == "a &lt; b &amp;&amp; c &gt; d"


@pytest.mark.parametrize("ping", ["<!channel>", "<!here|here>", "<@U123>", "<!subteam^S1>"])
def test_nothing_of_others_can_ping(ping: str) -> None:
    assert ping not in model_markdown(f"hello {ping}")
    assert ping not in escaped(ping)
    assert ping not in line(ping, 100)


def test_at_words_in_markdown_are_defused_and_handles_are_kept() -> None:
    assert "@channel" not in model_markdown("@channel look")
    assert model_markdown("`@vercel/postgres`") == "`@vercel/postgres`"


def test_turned_and_control_characters_go() -> None:
    assert escaped("a\u202eb\x07c\x1b[31m") == "abc[31m"
    assert model_markdown("tab\tand\nline") == "tab\tand\nline"


def test_code_stays_on_one_line_and_cannot_be_closed_from_inside() -> None:
    assert code("a`b\nc") == "`a'b c`"
    assert code("") == "` `"
    assert len(code("x" * 500)) == 82


def test_formatting_of_others_is_defused() -> None:
    assert "*bold*" not in line("*bold*", 100)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("fix &lt;b&gt; &amp; c", "fix <b> & c"),
        ("see <https://x.test/a?b=1|https://x.test/a?b=1>", "see https://x.test/a?b=1"),
        ("see <https://x.test>", "see https://x.test"),
        ("mail <mailto:a@b.test|a@b.test>", "mail a@b.test"),
        ("ask <@U1> in <#C1|dev>", "ask <@U1> in <#C1|dev>"),
        ("if a &lt; b: <!here>", "if a < b: <!here>"),
    ],
)
def test_what_a_person_typed_comes_back(typed: str, read: str) -> None:
    assert plain(typed) == read


def test_a_long_fence_is_closed_and_opened_again_with_its_language() -> None:
    text = "before\n```python\n" + "\n".join(f"line {n}" for n in range(300)) + "\n```\nafter"
    parts = split_markdown(text, limit=900)
    assert len(parts) > 2
    for part in parts:
        assert part.count("```") % 2 == 0
        assert len(part) <= 900
    assert all(part.startswith("```python") for part in parts[1:-1])
    assert parts[-1].endswith("after")


def test_a_long_table_has_its_head_in_each_part() -> None:
    head = "| name | value |\n|---|:-:|"
    rows = [f"| n{number} | {'v' * 20} |" for number in range(200)]
    text = "before\n\n" + "\n".join([head, *rows]) + "\n\nafter | that"
    parts = split_markdown(text, limit=900)
    assert len(parts) > 2
    assert all(len(part) <= 900 for part in parts)
    assert all(part.startswith(head) for part in parts[1:-1])
    shown = [row for part in parts for row in part.split("\n") if row.startswith("| n")]
    assert [row for row in shown if row != "| name | value |"] == rows
    assert parts[-1].endswith("\n\nafter | that")


@pytest.mark.parametrize("row", ["|---|---|", "---|:-:", " | - | -: |\t", "-|-|", "\t|-|-"])
def test_the_head_of_a_table_is_not_parted_from_it(row: str) -> None:
    text = "x" * 480 + f"\n| a | b |\n{row}\n| 1 | 2 |"
    assert split_markdown(text, limit=500)[1].startswith(f"| a | b |\n{row}")


@pytest.mark.parametrize("row", ["| x | - |", "|:|-|", "|-|::|", "||", "|-||", "| - - |", "|"])
def test_a_row_of_other_cells_begins_no_table(row: str) -> None:
    text = "x" * 486 + f"\n| a | b |\n{row}\n| 1 | 2 |"
    assert split_markdown(text, limit=500)[1].startswith(row)


def test_a_table_in_a_fence_is_code() -> None:
    rows = "\n".join(f"| {number} | {'v' * 20} |" for number in range(100))
    parts = split_markdown(f"```\n| a | b |\n|---|---|\n{rows}\n```", limit=900)
    assert sum(part.count("| a | b |") for part in parts) == 1
    assert all(part.startswith("```") for part in parts)


@given(st.text(alphabet="ab`~\n |-", max_size=2_000), st.integers(300, 600))
def test_splitting_loses_nothing_and_keeps_the_limit(text: str, limit: int) -> None:
    parts = split_markdown(text, limit)
    assert all(len(part) <= limit for part in parts)
    assert sum(part.count("a") for part in parts) >= text.count("a")


def test_one_line_longer_than_a_message_is_cut_into_several() -> None:
    parts = split_markdown("x" * 30_000)
    assert "".join(parts) == "x" * 30_000


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (38.2, "38 s"),
        (112, "1 min 52 s"),
        (120, "2 min"),
        (7_500, "2 h 5 min"),
    ],
)
def test_durations(value: float, said: str) -> None:
    assert seconds(value) == said


@pytest.mark.parametrize(("usd", "said"), [(0, "$0.00"), (0.004, "<$0.01"), (1234.5, "$1,234.50")])
def test_money(usd: float, said: str) -> None:
    assert money(usd) == said


def test_cut_marks_the_cut() -> None:
    assert cut("abcdef", 4) == "abc…"
