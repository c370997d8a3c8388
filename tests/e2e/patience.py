"""A story whose pace a test sets, so that it can act in the middle of a task."""

import json

from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn

ROUND_SECONDS = 0.2


class Patient:
    """Works in short rounds until it is let go; then its task ends with what it was told."""

    def __init__(self) -> None:
        self.rounds_left = 1_000

    def __call__(self, conversation: ParsedConversation) -> ScriptedTurn:
        """The next round, or the end."""
        task = conversation.task
        if self.rounds_left <= 0:
            return ScriptedTurn(f"Ended: {json.dumps([task.text, *task.steering])}")
        self.rounds_left -= 1
        # No round is like another: a model that goes in circles is stopped.
        code = f"import time; time.sleep({ROUND_SECONDS}); print({conversation.turn})"
        return ScriptedTurn(
            "", (ScriptedCall("run_command", {"command": ["python3", "-c", code]}),)
        )

    def let_go(self) -> None:
        """End each task at its next model call."""
        self.rounds_left = 0

    def hold(self) -> None:
        """Work on again."""
        self.rounds_left = 1_000
