"""Takes secrets out of what Slack sends, before the inbox stores it or anybody else reads it."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncBoltContext

from bot.redaction import Hide, hidden_in
from bot.slack.inbox import is_replay
from bot.slack.views.secrets import FORM, VALUE

Seal = Callable[[str], str]


class SecretMiddleware:
    """Wire it up as the first middleware.

    What was typed into the form for secrets, or behind `/agent secrets`, goes no further: the value
    in the form is encrypted in place, so that the stored input, its replay and the listener have
    the ciphertext alone. In everything else the values that are known as secrets are replaced. A
    replay was treated when it came.
    """

    def __init__(self, seal: Seal, hide: Hide) -> None:
        self._seal = seal
        self._hide = hide

    async def middleware(
        self,
        body: dict[str, Any],
        context: AsyncBoltContext,
        next: Callable[[], Awaitable[None]],  # noqa: A002  (Bolt hands it over by this name)
    ) -> None:
        """Removes secrets from the body in place, then goes on."""
        if not is_replay(context):
            self._seal_form(body)
            _cut_words(body)
            self._take_out(body)
        await next()

    def _seal_form(self, body: dict[str, Any]) -> None:
        view = body.get("view")
        if not isinstance(view, dict) or view.get("callback_id") != FORM:
            return
        values = (view.get("state") or {}).get("values") or {}
        element = (values.get(VALUE) or {}).get(VALUE)
        if isinstance(element, dict) and element.get("value"):
            element["value"] = self._seal(str(element["value"]))

    def _take_out(self, body: dict[str, Any]) -> None:
        whole = json.dumps(body, ensure_ascii=False)
        if self._hide(whole) != whole:
            clean = hidden_in(body, self._hide)
            body.clear()
            body.update(clean)


def _cut_words(body: dict[str, Any]) -> None:
    """Forgets what somebody typed behind `/agent secrets`: it may be the secret itself."""
    if body.get("command") and str(body.get("text") or "").split()[:1] in (["secrets"], ["secret"]):
        body["text"] = "secrets"
