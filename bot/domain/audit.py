"""Who did what, and whether it was allowed: one line of the record."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Audit:
    """`action` such as `agent.stop`; `subject` an agent, a repository, a name; `outcome` is
    `allowed`, `done`, or why not. Never a secret value. `at` in seconds since the epoch."""

    at: float
    actor: str
    action: str
    subject: str
    outcome: str
