"""The rules about money: words, prices, and that no order of calls passes a cap."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from bot.domain.budget import (
    LEAST_ANSWER_TOKENS,
    NANO,
    BudgetGranted,
    BudgetRefused,
    BudgetScope,
    Price,
    checked_budget,
    decide,
    dollars,
    estimated_tokens,
    warns,
)
from bot.errors import InvalidCommand

SONNET = Price(Decimal("0.000003"), Decimal("0.000015"))


@pytest.mark.parametrize(
    ("text", "nano"),
    [("2", 2 * NANO), ("2.00", 2 * NANO), ("$1.5", 3 * NANO // 2), (".25", NANO // 4),
     ("10000", 10_000 * NANO), ("0.000001", 1_000)],
)  # fmt: skip
def test_a_budget_is_read(text: str, nano: int) -> None:
    assert checked_budget(text) == nano


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.00", "-1", "+1", "1e3", "10000.01", "999999", "nan", "inf", "two", "1,5", "$",
     "1.", "1_0", "\u0661", "9" * 50, "2.0000001", "2 "],
)  # fmt: skip
def test_what_is_no_budget_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidCommand, match=r"--budget 2\.00"):
        checked_budget(text)


def test_a_price_is_rounded_up_to_whole_nano_dollars() -> None:
    assert SONNET.of(1_000, 100) == 4_500_000
    assert Price(Decimal("0.0000000001"), Decimal(0)).of(1, 0) == 1
    assert Price.per_million(Decimal(10)).of(1_000_000, 0) == 10 * NANO


def test_without_a_cap_everything_is_granted_as_asked() -> None:
    assert decide({}, {}, SONNET, 10, 8_000) == BudgetGranted(8_000, SONNET.of(10, 8_000))


def test_an_answer_is_made_shorter_to_fit_what_is_left() -> None:
    caps, used = {BudgetScope.AGENT: NANO}, {BudgetScope.AGENT: NANO - 40_000_000}
    granted = decide(caps, used, SONNET, 1_000, 8_192)
    assert isinstance(granted, BudgetGranted)
    assert LEAST_ANSWER_TOKENS <= granted.max_tokens < 8_192
    assert 40_000_000 - 15_000 <= granted.nano <= 40_000_000


def test_the_tightest_cap_is_named() -> None:
    caps = {
        BudgetScope.AGENT: NANO,
        BudgetScope.USER_DAY: NANO,
        BudgetScope.DEPLOYMENT_DAY: 5 * NANO,
    }
    used = {BudgetScope.USER_DAY: NANO, BudgetScope.DEPLOYMENT_DAY: NANO}
    assert decide(caps, used, SONNET, 10, 10) == BudgetRefused(BudgetScope.USER_DAY, NANO, NANO)


def test_a_used_budget_refuses_even_what_is_free() -> None:
    free = Price(Decimal(0), Decimal(0))
    assert isinstance(
        decide({BudgetScope.AGENT: 5}, {BudgetScope.AGENT: 5}, free, 1, 1), BudgetRefused
    )
    assert decide({BudgetScope.AGENT: 5}, {BudgetScope.AGENT: 4}, free, 1, 1) == BudgetGranted(1, 0)


def test_text_is_estimated_by_its_script() -> None:
    assert estimated_tokens("a" * 300) == 116
    assert estimated_tokens("\u6f22" * 100) == 166
    assert estimated_tokens("\ud800") > 0


def test_the_warning_is_due_once() -> None:
    assert warns(0, 80, 100)
    assert not warns(80, 90, 100)
    assert not warns(0, 79, 100)


def test_amounts_for_people() -> None:
    assert [dollars(n) for n in (0, NANO * 2, NANO // 100, 1_234_567 * NANO)] == [
        "$0.00", "$2.00", "$0.0100", "$1,234,567.00",
    ]  # fmt: skip


@dataclass
class Books:
    """A ledger in memory: what is spent, and what is reserved for calls under way."""

    caps: dict[BudgetScope, int]
    spent: int = 0
    reserved: dict[int, tuple[int, Price, int]] = field(default_factory=dict)

    def used(self) -> dict[BudgetScope, int]:
        total = self.spent + sum(nano for nano, _, _ in self.reserved.values())
        return dict.fromkeys(self.caps, total)


PRICES = st.builds(
    Price,
    st.decimals(0, Decimal("0.001"), places=10),
    st.decimals(0, Decimal("0.001"), places=10),
    st.decimals(0, Decimal("0.01"), places=4),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), PRICES, st.integers(0, 200_000), st.integers(1, 64_000)),
        # Ends a call under way: cut short, so that its worst case counts, or with its real use.
        st.tuples(
            st.sampled_from(["cut", "end"]),
            st.integers(0, 30),
            st.floats(0, 1),
            st.floats(0, 1),
        ),
    ),
    max_size=60,
)


@given(limit=st.integers(1, 3 * NANO), steps=STEPS)
def test_no_schedule_of_calls_passes_a_cap(limit: int, steps: list[tuple[object, ...]]) -> None:
    books = Books({BudgetScope.AGENT: limit, BudgetScope.USER_DAY: limit + 1})
    for number, step in enumerate(steps):
        match step:
            case ("begin", Price() as price, int(prompt), int(most)):
                decision = decide(books.caps, books.used(), price, prompt, most)
                if isinstance(decision, BudgetGranted):
                    assert min(most, LEAST_ANSWER_TOKENS) <= decision.max_tokens <= most
                    assert decision.nano == price.of(prompt, decision.max_tokens)
                    books.reserved[number] = (decision.nano, price, decision.max_tokens)
            case (str(kind), int(which), float(share), float()) if books.reserved:
                key = sorted(books.reserved)[which % len(books.reserved)]
                nano, _, _ = books.reserved.pop(key)
                books.spent += nano if kind == "cut" else int(nano * share)
        assert max(books.used().values()) <= limit
    for nano, _, _ in books.reserved.values():
        books.spent += nano
    assert books.spent <= limit
