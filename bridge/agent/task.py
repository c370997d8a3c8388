"""One request to the agent, as the loop needs it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bridge.protocol import CheckRun, FileChange
from bridge.state.conversation import UserMessage
from bridge.tools.base import ToolContext

Changes = Callable[[], Awaitable[tuple[FileChange, ...]]]


async def _nothing() -> None:
    return


async def _unnoted(_check: CheckRun) -> None:
    return


@dataclass(frozen=True, slots=True)
class Task:
    """One request to the agent.

    `take_up` moves the messages that steer this task into the conversation, and returns them.
    `changes` is the workspace against the source branch. `before_tools` is awaited once, before
    the first tool runs, and `checked` after each command that checks the work. `wants_pause`: the
    task shall wait before its next model call.
    """

    id: str
    model: str
    max_steps: int
    take_up: Callable[[], Awaitable[Sequence[UserMessage]]]
    changes: Changes
    context: ToolContext
    fallback_models: tuple[str, ...] = ()
    plan_model: str | None = None
    before_tools: Callable[[], Awaitable[None]] = _nothing
    checked: Callable[[CheckRun], Awaitable[None]] = _unnoted
    wants_pause: Callable[[], bool] = lambda: False
