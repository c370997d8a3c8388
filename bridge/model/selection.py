"""Which model a task asks: the person's choice, and another one where that is unavailable."""

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
    """The model of one task, now. A fallback stays the model until the person names another.

    `plan_model` is asked for the first step alone, in which an agent says how it will go about it.
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
        """How often the model is asked while another one is left to try; None: no such limit."""
        return _ATTEMPTS_WITH_FALLBACK if self._untried else None

    def leave_plan_model(self) -> None:
        """Goes on with the task's own model: the first step is made."""
        if self._plan_model and self.current == self._plan_model:
            self.current = self.wanted
            self._untried.remove(self.wanted)
        self._plan_model = None

    def choose_model(self, model: str) -> bool:
        """The person names a model; False when it is the one they named before."""
        if model == self.wanted:
            return False
        self.wanted = self.current = model
        self._plan_model = None
        self._untried = [name for name in self._fallbacks if name != model]
        return True

    def fall_back(self, error: ModelError) -> bool:
        """Go on with the next model, if this failure is one that another model may not have."""
        if error.code not in _UNAVAILABLE or not self._untried:
            return False
        self.current = self._untried.pop(0)
        return True
