"""`/agent doctor`: examine the deployment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunDoctor:
    """`doctor`."""
