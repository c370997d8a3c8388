"""Selects the model of a task: the person's choice, another one where that is unavailable."""

from collections.abc import Sequence

from bridge.errors import ModelError
from bridge.protocol import ErrorCode

_UNAVAILABLE = frozenset(
    {
        ErrorCode.MODEL_UNAVAILABLE,
        ErrorCode.MODEL_RATE_LIMITED,
        ErrorCode.MODEL_TIMEOUT,
        ErrorCode.MODEL_NOT_FOUND,
        ErrorCode.MODEL_BAD_ANSWER,
    }
)
_ATTEMPTS_WITH_FALLBACK = 3  # rather than wait longer, the next model is asked


class ModelChoice:
    """The current model of one task. A fallback stays it until the person names another.

    `plan_model` is asked for the first step alone, in which an agent states its plan.
    """

    def __init__(self, model: str, fallbacks: Sequence[str], plan_model: str | None = None) -> None:
        self.wanted = model
        self.current = plan_model or model
        self._plan_model = plan_model if plan_model != model else None
        self._fallbacks = fallbacks
        self._untried = [name for name in fallbacks if name != model]
        if self._plan_model:
            self._untried.insert(0, model)

    @property
    def max_attempts(self) -> int | None:
        """The attempts at the model while another one is left to try; None: no such limit."""
        return _ATTEMPTS_WITH_FALLBACK if self._untried else None

    def leave_plan_model(self) -> None:
        """Goes on with the task's own model: the first step is made."""
        if self._plan_model and self.current == self._plan_model:
            self.current = self.wanted
            self._untried.remove(self.wanted)
        self._plan_model = None

    def choose_model(self, model: str) -> bool:
        """Takes the model that the person names; False when they named it before."""
        if model == self.wanted:
            return False
        self.wanted = self.current = model
        self._plan_model = None
        self._untried = [name for name in self._fallbacks if name != model]
        return True

    def fall_back(self, error: ModelError) -> bool:
        """Goes on with the next model, if this failure is one that another model may not have."""
        if error.code not in _UNAVAILABLE or not self._untried:
            return False
        self.current = self._untried.pop(0)
        return True
