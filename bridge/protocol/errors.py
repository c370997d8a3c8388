"""Defines the errors that may cross the wire: a closed set of codes, and a sentence each."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ErrorCode(StrEnum):
    """Every error that the bridge may report; a reader treats an unknown code as `internal`."""

    UNAUTHORIZED = "unauthorized"
    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    WORKSPACE_MISSING = "workspace_missing"
    WORKSPACE_CONFLICT = "workspace_conflict"
    REPOSITORY_NOT_FOUND = "repository_not_found"
    BRANCH_NOT_FOUND = "branch_not_found"
    CLONE_FAILED = "clone_failed"
    CLONE_TIMEOUT = "clone_timeout"
    NO_SPACE = "no_space"
    QUEUE_FULL = "queue_full"
    TOO_LARGE = "too_large"
    MODEL_AUTH = "model_auth"
    MODEL_PAYMENT = "model_payment"
    BUDGET_USED = "budget_used"
    DAY_BUDGET_USED = "day_budget_used"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_REFUSED = "model_refused"
    MODEL_RATE_LIMITED = "model_rate_limited"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_TIMEOUT = "model_timeout"
    MODEL_BAD_ANSWER = "model_bad_answer"
    CONTEXT_OVERFLOW = "context_overflow"
    STUCK = "stuck"
    INTERNAL = "internal"


class WireError(BaseModel):
    """One error as it travels: a code of the closed set and a sentence for people."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    code: str = Field(max_length=64)
    message: str = Field(max_length=2_000)
