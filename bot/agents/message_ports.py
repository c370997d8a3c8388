"""What the hand-over of messages needs from the database."""

from typing import Protocol

from bot.domain.message import Message


class MessageWrites(Protocol):
    """The part of a write transaction that keeps messages until the bridge has them."""

    async def add_message(self, message: Message) -> None:
        """Store a message that is still to be handed to the bridge; `order` is set here."""

    async def message(self, agent_id: str, message_id: str) -> Message | None:
        """Return a message as stored, handed over or not."""

    async def message_delivered(self, agent_id: str, message_id: str) -> None:
        """The bridge has it; it is not handed over again."""

    async def hand_over_again(self, agent_id: str, since: float) -> None:
        """Let messages that were handed over after `since` be handed over once more."""

    async def revise_message(self, agent_id: str, message_id: str, text: str | None) -> bool:
        """Change a message that is not handed over yet, or drop it (None); False: too late."""
