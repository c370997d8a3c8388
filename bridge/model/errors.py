"""Turns a provider's refusal into an error: a code, a plain sentence, whether waiting may help."""

import email.utils
import time
from collections.abc import Mapping
from typing import Any

from bridge.errors import ModelError
from bridge.protocol import ErrorCode

_OVERFLOW_WORDS = (
    "context length", "context window", "context_length", "maximum context", "too many tokens",
    "prompt is too long", "input is too long", "max_prompt_tokens",
)  # fmt: skip
_MEANINGS: dict[int, tuple[ErrorCode, str]] = {
    401: (ErrorCode.MODEL_AUTH, "The model provider refused the key"),
    402: (ErrorCode.MODEL_PAYMENT, "The model provider wants to be paid first"),
    403: (ErrorCode.MODEL_AUTH, "The key may not use this model"),
    404: (ErrorCode.MODEL_NOT_FOUND, "The model provider does not serve this model"),
    408: (ErrorCode.MODEL_TIMEOUT, "The model provider timed out"),
    413: (ErrorCode.CONTEXT_OVERFLOW, "The conversation no longer fits into this model's context"),
    429: (ErrorCode.MODEL_RATE_LIMITED, "The model provider asks to slow down"),
}
_REFUSED = (ErrorCode.MODEL_REFUSED, "The model provider refused the request")
_UNAVAILABLE = (ErrorCode.MODEL_UNAVAILABLE, "The model provider could not answer")
_FLAGGED = (ErrorCode.MODEL_REFUSED, "The model provider's moderation refused this")
# The gateway's own refusals, which a provider cannot make: by the scope that they name.
_BUDGET_REASON, _AGENT_SCOPE = "budget_used", "agent"
_RETRYABLE = (
    ErrorCode.MODEL_TIMEOUT, ErrorCode.MODEL_RATE_LIMITED, ErrorCode.MODEL_UNAVAILABLE,
)  # fmt: skip
# What a person can do about it; the rest passes by itself or is told by the provider's words.
_ADVICE: dict[ErrorCode, str] = {
    ErrorCode.MODEL_AUTH: " Check the key, then reply to go on.",
    ErrorCode.MODEL_PAYMENT: " Add credit or raise the key's limit, then reply to go on.",
    ErrorCode.MODEL_NOT_FOUND: " Choose another one: reply `model: NAME`.",
}
_CLIENT_ERROR, _SERVER_ERROR, _NO_STATUS = 400, 500, 600
_MAX_RETRY_AFTER_SECONDS = 86_400.0


def from_status(
    status: int | None,
    body: object,
    headers: Mapping[str, str] | None = None,
    *,
    secret: str = "",
) -> ModelError:
    """Returns the error for an HTTP status, or for the code of an error inside a stream.

    `body` is the decoded answer, with or without its outer `error` key. Without a status the
    provider broke off in some way of its own, which waiting may cure. `secret` is kept out of
    the message, should the provider repeat it.
    """
    detail = _detail(body)
    if status == 402 and _metadata(body).get("reason") == _BUDGET_REASON:  # noqa: PLR2004
        of_agent = _metadata(body).get("scope") == _AGENT_SCOPE
        code = ErrorCode.BUDGET_USED if of_agent else ErrorCode.DAY_BUDGET_USED
        return ModelError(code, detail or "The budget is used.")
    code, meaning = _meaning(status, detail.lower(), flagged=bool(_metadata(body).get("reasons")))
    number = f" ({status})" if status else ""
    quote = f' It said: "{detail}"' if detail and code is not ErrorCode.CONTEXT_OVERFLOW else ""
    message = f"{meaning}{number}.{quote}{_ADVICE.get(code, '')}"
    return ModelError(
        code,
        message.replace(secret, "***") if secret else message,
        retryable=code in _RETRYABLE,
        retry_after_seconds=_retry_after(headers or {}),
        provider_text=detail,
    )


def _meaning(status: int | None, detail: str, *, flagged: bool) -> tuple[ErrorCode, str]:
    if status is None or status >= _SERVER_ERROR:
        return _UNAVAILABLE
    if status == 403 and flagged:  # noqa: PLR2004  (HTTP's own number)
        return _FLAGGED
    if meaning := _MEANINGS.get(status):
        return meaning
    if any(words in detail for words in _OVERFLOW_WORDS):
        return _MEANINGS[413]
    if "not a valid model" in detail:
        return _MEANINGS[404]
    return _REFUSED


def status_of(error: object) -> int | None:
    """Returns the HTTP status that an error object inside a stream or a 200 answer names."""
    code = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(code, str) and code.isdecimal():
        code = int(code[:4])
    return code if isinstance(code, int) and _CLIENT_ERROR <= code < _NO_STATUS else None


def _error_of(body: object) -> Mapping[str, Any]:
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, Mapping):
            return inner
        if isinstance(inner, str):
            return {"message": inner}
    return {}


def _metadata(body: object) -> Mapping[str, Any]:
    metadata = _error_of(body).get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _detail(body: object) -> str:
    # The top message of an upstream error is often only "Provider returned error".
    raw, message = _metadata(body).get("raw"), _error_of(body).get("message")
    text = raw if isinstance(raw, str) and raw else message
    return " ".join(text.split())[:300] if isinstance(text, str) else ""


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return seconds if 0 <= seconds < _MAX_RETRY_AFTER_SECONDS else None
