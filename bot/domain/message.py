"""A person's message to an agent as data: the first task and every reply are messages."""

from dataclasses import dataclass

from bot.domain.attachment import Attachment
from bridge.protocol import ChatMode

FIRST = "start"
PRESSED = "pressed:"  # begins the id of a message that came from a button


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `id` is FIRST for the task that started the agent, else the message's ts, or
    begins with PRESSED.

    `task_id` names the task that the message becomes when no task is at work. `order` counts
    from 1 within the agent, in the order of arrival.
    """

    id: str
    agent_id: str
    user: str
    text: str
    task_id: str
    mode: ChatMode = ChatMode.STEER
    order: int = 0
    files: tuple[Attachment, ...] = ()
