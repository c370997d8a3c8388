"""Describes the hosts that a container was refused."""

from dataclasses import dataclass
from enum import StrEnum


class DenialReason(StrEnum):
    """The reason why a destination is refused."""

    NOT_ON_LIST = "not_on_list"
    PRIVATE_ADDRESS = "private_address"
    PORT = "port"


@dataclass(frozen=True, slots=True)
class Denial:
    """One refused destination. `host` is a checked name or address; `at` is since the epoch."""

    host: str
    port: int
    reason: DenialReason
    at: float
