"""One model call in the ledger: who pays, what it used, what it cost and who says so."""

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.agent import (
    SecretScope,
)


class CostSource(StrEnum):
    """Where the cost of a call comes from."""

    RESERVED = "reserved"  # the call is under way: its worst case
    PROVIDER = "provider"  # the provider named it
    CATALOGUE = "catalogue"  # tokens as counted by the provider, at the listed price
    ASSUMED = "assumed"  # the same at the assumed price, since nobody lists one
    ESTIMATE = "estimate"  # the call was cut short: its worst case
    NOTHING = "nothing"  # the provider refused the call


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A call that begins. `id` is ours and unique; `nano` its worst case; `at` seconds UTC.

    `paid_by`: where the key is stored that it is made with.
    """

    id: str
    agent_id: str
    task_id: str | None
    team: str
    user: str
    channel: str
    model: str
    nano: int
    at: float
    paid_by: SecretScope = SecretScope.DEPLOYMENT


@dataclass(frozen=True, slots=True)
class UsageTotals:
    """What a call has used, as the provider reported it; None is what it did not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nano: int | None = None
    model: str | None = None
    provider: str | None = None
    generation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """How a call is entered for good."""

    usage: UsageTotals
    nano: int
    source: CostSource


@dataclass(frozen=True, slots=True)
class Sum:
    """What the calls of one day, user, channel and model come to. `day` is UTC's, `2026-11-26`.

    `cached_tokens` are part of `prompt_tokens`; `estimated_nano` is the part of `nano` that nobody
    billed: calls that were cut short or are under way, at their worst case.
    """

    day: str
    user: str
    channel: str
    model: str
    calls: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    nano: int
    estimated_nano: int


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One call as the ledger has it, for people who count on their own."""

    at: float
    agent_id: str
    task_id: str
    user: str
    channel: str
    model: str
    provider: str
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    nano: int
    source: CostSource
    paid_by: SecretScope
