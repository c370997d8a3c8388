"""One model call in the ledger: who pays, what it used, what it cost and who says so."""

from dataclasses import dataclass
from enum import StrEnum


class CostSource(StrEnum):
    """Where the cost of a call comes from."""

    RESERVED = "reserved"  # the call is under way: its worst case
    PROVIDER = "provider"  # the provider named it
    CATALOGUE = "catalogue"  # tokens as counted by the provider, at the listed price
    ASSUMED = "assumed"  # the same at the assumed price, since nobody lists one
    ESTIMATE = "estimate"  # the call was cut short: its worst case
    NOTHING = "nothing"  # the provider refused the call


@dataclass(frozen=True, slots=True)
class Call:
    """A call that begins. `id` is ours and unique; `nano` its worst case; `at` seconds UTC."""

    id: str
    agent_id: str
    task_id: str | None
    team: str
    user: str
    channel: str
    model: str
    nano: int
    at: float


@dataclass(frozen=True, slots=True)
class Usage:
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

    usage: Usage
    nano: int
    source: CostSource


@dataclass(frozen=True, slots=True)
class Total:
    """What many calls come to; `name` is the agent, task, user, channel or day they belong to."""

    name: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    nano: int
