"""Describes a model call in the ledger: its payer, its usage, its cost and the source of it."""

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.agent import SecretScope


class CostSource(StrEnum):
    """The source of a call's cost."""

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
    """The usage of a call as the provider reported it; None is a value that it left out."""

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
    """The final entry of a call."""

    usage: UsageTotals
    nano: int
    source: CostSource


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of the calls of one day, user, channel and model. `day` is UTC's, `2026-11-26`.

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
