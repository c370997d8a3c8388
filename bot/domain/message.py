"""A person's message to an agent as data: the first task and every reply are messages."""

from dataclasses import dataclass

from bot.domain.attachment import Attachment
from bridge.protocol import ChatMode

FIRST = "start"
PRESSED = "pressed:"  # begins the id of a message that came from a button
# These begin the ids of what is handed over and is no message: an answer, leave to go on, an undo.
ANSWER, RESUME, UNDO = "answer:", "resume:", "undo:"
_ERRANDS = (ANSWER, RESUME, UNDO)
_NOT_IN_SLACK = (FIRST, PRESSED, *_ERRANDS)


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `id` is FIRST for the task that started the agent, else the message's ts, or
    begins with one of the words above.

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

    @property
    def begins_task(self) -> bool:
        """Whether it is words for the agent, of which a task may come."""
        return not self.id.startswith(_ERRANDS)


def is_posted(message_id: str) -> bool:
    """Whether a message of this id stands in the thread, so that it can be marked."""
    return not message_id.startswith(_NOT_IN_SLACK)
