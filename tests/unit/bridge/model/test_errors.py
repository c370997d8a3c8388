import email.utils
import time

import pytest

from bridge.model.errors import from_status, status_of
from bridge.protocol import ErrorCode


@pytest.mark.parametrize(
    ("status", "message", "code", "retryable"),
    [
        (401, "No auth credentials found", ErrorCode.MODEL_AUTH, False),
        (402, "Insufficient credits", ErrorCode.MODEL_PAYMENT, False),
        (403, "not allowed", ErrorCode.MODEL_AUTH, False),
        (404, "No endpoints found that support tool use", ErrorCode.MODEL_NOT_FOUND, False),
        (400, "acme/x is not a valid model ID", ErrorCode.MODEL_NOT_FOUND, False),
        (400, "This endpoint's maximum context length is 8", ErrorCode.CONTEXT_OVERFLOW, False),
        (413, "too large", ErrorCode.CONTEXT_OVERFLOW, False),
        (400, "bad tools", ErrorCode.MODEL_REFUSED, False),
        (408, "Request timed out", ErrorCode.MODEL_TIMEOUT, True),
        (429, "slow", ErrorCode.MODEL_RATE_LIMITED, True),
        (500, "x", ErrorCode.MODEL_UNAVAILABLE, True),
        (502, "x", ErrorCode.MODEL_UNAVAILABLE, True),
        (503, "x", ErrorCode.MODEL_UNAVAILABLE, True),
        (None, "Provider disconnected", ErrorCode.MODEL_UNAVAILABLE, True),
    ],
)
def test_each_refusal_has_its_code(
    status: int | None, message: str, code: ErrorCode, retryable: bool
) -> None:
    error = from_status(status, {"error": {"message": message}})
    assert (error.code, error.retryable) == (code, retryable)


def test_what_the_upstream_said_is_shown_instead_of_the_generic_words() -> None:
    body = {"message": "Provider returned error", "metadata": {"raw": "overloaded\n  again"}}
    assert '"overloaded again"' in from_status(502, body).message


def test_moderation_is_not_called_a_wrong_key() -> None:
    body = {"error": {"message": "flagged", "metadata": {"reasons": ["violence"]}}}
    assert from_status(403, body).code is ErrorCode.MODEL_REFUSED


def test_a_repeated_secret_is_kept_out() -> None:
    error = from_status(400, {"message": "key canary-key is odd"}, secret="canary-key")
    assert "canary-key" not in error.message


@pytest.mark.parametrize(
    "body",
    [None, "text", [], {"error": "plain"}, {"error": None}, {"error": {"metadata": 3}}],
)
def test_bodies_of_any_shape_are_read(body: object) -> None:
    assert from_status(502, body).code is ErrorCode.MODEL_UNAVAILABLE


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", 1.0), ("0.5", 0.5), ("-3", None), ("soon", None), ("", None), ("nan", None)],
)
def test_retry_after_in_seconds(value: str, expected: float | None) -> None:
    assert from_status(429, None, {"retry-after": value}).retry_after_seconds == expected


def test_retry_after_as_a_date() -> None:
    value = email.utils.formatdate(time.time() + 60, usegmt=True)
    seconds = from_status(429, None, {"retry-after": value}).retry_after_seconds
    assert seconds is not None
    assert 55 < seconds <= 60


@pytest.mark.parametrize(
    ("error", "status"),
    [({"code": 502}, 502), ({"code": "429"}, 429), ({"code": "server_error"}, None), ("x", None)],
)
def test_the_status_inside_an_error_object(error: object, status: int | None) -> None:
    assert status_of(error) == status


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"reason": "budget_used", "scope": "agent"}, ErrorCode.BUDGET_USED),
        ({"reason": "budget_used", "scope": "user_day"}, ErrorCode.DAY_BUDGET_USED),
        ({"reason": "budget_used"}, ErrorCode.DAY_BUDGET_USED),
        ({"reason": "other"}, ErrorCode.MODEL_PAYMENT),
        ({}, ErrorCode.MODEL_PAYMENT),
    ],
)
def test_a_used_budget_is_not_taken_for_an_unpaid_bill(
    metadata: dict[str, str], code: ErrorCode
) -> None:
    words = "The budget of this agent is used: $1.97 of $2.00."
    error = from_status(402, {"error": {"code": 402, "message": words, "metadata": metadata}})
    assert (error.code, error.retryable) == (code, False)
    assert words in error.message
    assert (error.message == words) == (code is not ErrorCode.MODEL_PAYMENT)
