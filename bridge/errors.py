"""Defines the errors of the bridge.

BridgeError              ends a request or a task; its code and message go to the bot
    WorkspaceError       the checkout could not be made or read
    ModelError           a model call failed for good; `retryable` says whether waiting may help
ToolError                a tool call failed; its text is what the model reads, never the task's end
"""

from bridge.protocol.errors import ErrorCode, WireError


class BridgeError(Exception):
    """An error with a code of the contract. The message is for people and holds no secret."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def on_the_wire(self) -> WireError:
        """Returns the same error as the bot reads it."""
        return WireError(code=self.code, message=self.message[:2_000])


class WorkspaceError(BridgeError):
    """The checkout could not be made, or is not there."""


class ModelError(BridgeError):
    """A model call failed.

    `retry_after_seconds` is the wait that the provider asked for, `provider_text` its own words.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        provider_text: str = "",
    ) -> None:
        super().__init__(code, message)
        self.provider_text = provider_text
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


class ToolError(Exception):
    """A tool call failed; the text tells the model what was wrong and what to try instead."""
