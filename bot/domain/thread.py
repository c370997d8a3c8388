"""A thread of ours as data: its agent, and up to where people's stops in it have been obeyed."""

from dataclasses import dataclass

from bot.domain.agent import Agent


@dataclass(frozen=True, slots=True)
class OwnThread:
    """`stopped_at` is when the agent last said that it was stopped, in seconds; 0.0: never."""

    agent: Agent
    stopped_at: float
