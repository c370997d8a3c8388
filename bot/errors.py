"""Defines the bot's errors, each with a text for users that is kept apart from that for logs.

BotError                    an error of the bot's own; `str(error)` goes to the log
    ConfigurationError      the bot cannot start with these settings
    UserError               `user_text` is safe and useful to show to the person who acted
        InvalidCommand      the words could not be understood
        NotAllowed          this person may not do this
        ChannelUnavailable  the bot cannot post there
        RepositoryError     not found, no access, no such branch
        NothingToPropose    the branch holds no more than its base
        ModelUnusable       unknown model, key refused, no tool calling
        EngineError         no engine, no image, no room: a container could not be started
        StoreUnavailable    the database cannot be used now: disk full, locked, out of reach
    BridgeUnreachable       the bridge did not answer; says nothing about whether it is alive
        AnswerTooLarge      its answer is larger than the bot takes; asking again does not help
    BridgeRefused           the bridge answered with an error of the contract
    ContainerGone           the container of an agent is not there any more
    ContainerEnded          it is there and does not run, though nobody stopped it
    NoAnswer                the engine or the bridge is silent: ask again
"""

from bridge.protocol import WireError


class BotError(Exception):
    """Base of the bot's errors."""

    @property
    def operator_text(self) -> str:
        """The sentence for whoever runs the bot and reads it at a terminal."""
        return str(self)


class ConfigurationError(BotError):
    """The bot cannot start; the text names the setting and the next step."""


class UserError(BotError):
    """An error whose text a person reads: what happened, and what to do next."""

    def __init__(self, user_text: str, log_text: str = "") -> None:
        super().__init__(log_text or user_text)
        self.user_text = user_text

    @property
    def operator_text(self) -> str:
        """The sentence for people, which names the next step."""
        return self.user_text


class InvalidCommand(UserError):
    """The words of a command could not be understood."""


class NotAllowed(UserError):
    """This person may not do this."""


class ChannelUnavailable(UserError):
    """The bot cannot post in this channel."""


class RepositoryError(UserError):
    """The repository or branch is not there, or the token has no access."""


class NothingToPropose(UserError):
    """A branch holds no more than the one that it would be merged into."""


class FileUnavailable(UserError):
    """A file that a person attached cannot be had."""


class ModelUnusable(UserError):
    """The model cannot be used: unknown, refused, or without tool calling."""


class EngineError(UserError):
    """A container could not be started or reached through the engine."""


class StoreUnavailable(UserError):
    """The database cannot be used at the moment; nothing of the transaction was kept."""


class BridgeUnreachable(BotError):
    """The bridge did not answer in time."""


class AnswerTooLarge(BridgeUnreachable):
    """The bridge's answer is larger than the bot takes."""


class BridgeRefused(BotError):
    """The bridge answered with an error."""

    def __init__(self, status: int, error: WireError) -> None:
        super().__init__(f"{status} {error.code}: {error.message}")
        self.status = status
        self.error = error


class ContainerGone(BotError):
    """The container of an agent is not there any more, or has lost its workspace."""


class ContainerEnded(BotError):
    """The container of an agent is there and does not run, though nobody stopped it.

    `exit_code` is None when it was never started; `out_of_memory`: a process of it ran out of it.
    """

    def __init__(self, agent_id: str, exit_code: int | None, *, out_of_memory: bool) -> None:
        super().__init__(f"the container of {agent_id} ended: exit {exit_code}, {out_of_memory=}")
        self.exit_code = exit_code
        self.out_of_memory = out_of_memory


class NoAnswer(BotError):
    """The engine or the bridge is silent, which says nothing about the agent: ask again."""
