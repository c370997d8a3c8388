"""Refusals of the model's door, in the shape that the provider's own errors have."""

from aiohttp import web

_UNREAD = frozenset({401, 408, 413, 415, 429})


def problem(
    status: int, message: str, *, retry_after_seconds: float | None = None, **metadata: str
) -> web.Response:
    """An error in the provider's own shape, so that any client understands it."""
    error: dict[str, object] = {"code": status, "message": message}
    if metadata:
        error["metadata"] = metadata
    response = web.json_response({"error": error}, status=status)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(1, round(retry_after_seconds + 0.5)))
    if status in _UNREAD:  # the rest of the body is not worth reading
        response.force_close()
    return response


class RequestRefusedError(Exception):
    """The call is not made; `message` is what its agent is told."""

    def __init__(
        self, status: int, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self._retry_after_seconds = retry_after_seconds

    def answer(self) -> web.Response:
        """The refusal as an answer."""
        return problem(self.status, self.message, retry_after_seconds=self._retry_after_seconds)
