"""A person's message to an agent as data: the first task and every reply are messages."""

from dataclasses import dataclass, field
from enum import StrEnum

from bot.domain.attachment import Attachment
from bridge.protocol import ChatMode

FIRST = "start"


class MessageKind(StrEnum):
    """The kind of a message: words for the agent, or a control that is delivered like them."""

    START = "start"  # the task that started the agent
    REPLY = "reply"  # stands in the thread
    PRESSED = "pressed"  # words that a button stands for
    ANSWER = "answer"  # to a question of the agent
    RESUME = "resume"  # a paused task goes on
    UNDO = "undo"


_WORDS = frozenset({MessageKind.START, MessageKind.REPLY, MessageKind.PRESSED})


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `id` is FIRST for the task that started the agent, the ts of a reply, and made
    by `message_id` for the other kinds.

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
    kind: MessageKind = field(kw_only=True)

    @property
    def begins_task(self) -> bool:
        """Checks whether it is words for the agent, of which a task may come."""
        return self.kind in _WORDS

    @property
    def is_posted(self) -> bool:
        """Checks whether it stands in the thread, so that it can be marked."""
        return self.kind is MessageKind.REPLY

    @property
    def name(self) -> str:
        """Returns the name that `message_id` was given: for an answer, the id of its question."""
        return self.id.partition(":")[2]


def message_id(kind: MessageKind, name: str) -> str:
    """Returns the id of a message that has no ts; the same name gives the same id."""
    return f"{kind}:{name}"


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of a question: by whom, with which words, when.

    Without a user nobody answered, and its task is over. `by_message`: the person wrote into the
    thread instead of pressing a button.
    """

    user: str = ""
    answer: str = ""
    at: float = 0.0
    by_message: bool = False
