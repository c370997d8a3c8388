"""Decides whether the budget caps leave room for a model call, and for how long an answer.

Amounts are whole billionths of a dollar (`nano`): sums of them are exact. Pure rules; the
store sums, and keeps each reservation in the transaction that asked these rules.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum

from bot.domain.quoting import code
from bot.errors import InvalidCommand

NANO = 1_000_000_000
MAX_BUDGET_NANO = 10_000 * NANO
WARN_SHARE = 80  # per cent
# An answer that is cut shorter than this is worth less than the sentence "the budget is used".
LEAST_ANSWER_TOKENS = 1_024
_BUDGET = re.compile(r"\$?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})", re.ASCII)
_PER_MILLION = Decimal(1_000_000)


class BudgetScope(StrEnum):
    """The calls that a cap counts: of an agent, or of a day of a user, a channel, everybody."""

    AGENT = "agent"
    USER_DAY = "user_day"
    CHANNEL_DAY = "channel_day"
    DEPLOYMENT_DAY = "deployment_day"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one token of the prompt, at its dearest, for one of the answer, for a call."""

    prompt_usd: Decimal
    completion_usd: Decimal
    request_usd: Decimal = Decimal(0)

    def of(self, prompt_tokens: int, completion_tokens: int) -> int:
        """Returns the cost of so many tokens, in nano-dollars, rounded up."""
        usd = self.request_usd + self.prompt_usd * prompt_tokens
        usd += self.completion_usd * completion_tokens
        return int((usd * NANO).to_integral_value(rounding=ROUND_CEILING))

    def at_least(self, other: "Price") -> "Price":
        """Returns the dearer of both, part by part."""
        return Price(
            max(self.prompt_usd, other.prompt_usd),
            max(self.completion_usd, other.completion_usd),
            max(self.request_usd, other.request_usd),
        )

    @classmethod
    def per_million(cls, usd: Decimal) -> "Price":
        """Returns one price for every token, given for a million of them."""
        return cls(usd / _PER_MILLION, usd / _PER_MILLION)


FREE = Price(Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class BudgetGranted:
    """The call may be made with at most this many tokens of answer; `nano` is reserved for it."""

    max_tokens: int
    nano: int


@dataclass(frozen=True, slots=True)
class BudgetRefused:
    """A cap leaves no room for the call. `used_nano` counts what is reserved for other calls."""

    scope: BudgetScope
    used_nano: int
    limit_nano: int


def decide(
    caps: Mapping[BudgetScope, int],
    used: Mapping[BudgetScope, int],
    price: Price,
    prompt_tokens: int,
    max_tokens: int,
) -> BudgetGranted | BudgetRefused:
    """Decides whether a call fits under every cap at its worst.

    The answer is made shorter, down to LEAST_ANSWER_TOKENS, when the whole of it would not fit;
    where even that does not, the tightest cap is named. A scope without a cap is not in `caps`.
    """
    if not caps:
        return BudgetGranted(max_tokens, price.of(prompt_tokens, max_tokens))
    scope = min(caps, key=lambda scope: caps[scope] - used.get(scope, 0))
    left = caps[scope] - used.get(scope, 0)
    if left > 0:
        shortest = min(max_tokens, LEAST_ANSWER_TOKENS)
        tokens = _affordable(left, price, prompt_tokens, max_tokens)
        if tokens >= shortest:
            return BudgetGranted(tokens, price.of(prompt_tokens, tokens))
    return BudgetRefused(scope, used.get(scope, 0), caps[scope])


def _affordable(left: int, price: Price, prompt_tokens: int, max_tokens: int) -> int:
    """Returns the longest answer that `left` pays for after the prompt; below 0: none at all."""
    if price.of(prompt_tokens, max_tokens) <= left:
        return max_tokens
    left_usd = Decimal(left) / NANO - price.request_usd - price.prompt_usd * prompt_tokens
    if left_usd < 0 or price.completion_usd == 0:
        return -1
    tokens = min(max_tokens, int(left_usd / price.completion_usd))
    # Rounded up to whole nano-dollars, the sum may lie just above.
    return tokens if price.of(prompt_tokens, tokens) <= left else tokens - 1


def estimated_tokens(text: str) -> int:
    """Estimates the most tokens that a text can have, without the model's own tokenizer.

    Code and English have 3 to 5 bytes a token, other scripts 2 and more.
    """
    ascii_bytes = len(text.encode("ascii", "ignore"))
    other_bytes = len(text.encode("utf-8", "replace")) - ascii_bytes
    return ascii_bytes // 3 + other_bytes // 2 + 16


def nano_of(usd: Decimal | float | str) -> int:
    """Converts dollars to nano-dollars, rounded up."""
    return int((Decimal(str(usd)) * NANO).to_integral_value(rounding=ROUND_CEILING))


def checked_budget(text: str) -> int:
    """Returns the budget that a person typed, in nano-dollars; raises InvalidCommand."""
    match = _BUDGET.fullmatch(text)
    nano = nano_of(match[1]) if match else 0
    if not 0 < nano <= MAX_BUDGET_NANO:
        raise InvalidCommand(
            f"{code(text, 40)} is not a budget. Write dollars, more than 0 and at most 10,000: "
            "`--budget 2.00`."
        )
    return nano


def warns(spent_before: int, spent_after: int, budget: int) -> bool:
    """Checks whether the spending has just passed the point at which a warning is due."""
    point = budget * WARN_SHARE
    return spent_before * 100 < point <= spent_after * 100


def day_start(now: float) -> float:
    """Returns the beginning of this day, UTC, in seconds since the epoch."""
    return now - now % 86_400


def dollars(nano: int) -> str:
    """Formats an amount as `$2.00`; below ten cents with four digits."""
    usd = nano / NANO
    return f"${usd:,.2f}" if usd >= 0.1 or nano == 0 else f"${usd:.4f}"  # noqa: PLR2004
