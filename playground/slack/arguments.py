"""Arguments of a Web API call, from query, form or JSON, all with the same reading."""

import json
from typing import Any

from aiohttp import web

from playground.slack.errors import SlackError, invalid_arguments

BODY_BYTES = 8 * 1024 * 1024
TRUE = frozenset({"1", "true", "True", "yes"})


class CallArguments:
    """The named arguments of one call; reading a wrong type raises invalid_arguments."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return default if value is None else str(value)

    def required(self, name: str, error: str = "") -> str:
        if value := self.text(name):
            return value
        if error:
            raise SlackError(error)
        raise invalid_arguments(f"missing required field: {name}")

    def flag(self, name: str) -> bool:
        value = self.values.get(name)
        return value if isinstance(value, bool) else str(value) in TRUE

    def number(self, name: str, default: int) -> int:
        value = self.text(name)
        if not value:
            return default
        try:
            return int(value)
        except ValueError as error:
            raise invalid_arguments(f"must be a number [json-pointer:/{name}]") from error

    def json(self, name: str, error: str) -> object:
        """A value that arrives as JSON text in forms and as itself in JSON bodies."""
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        if not value:
            return None
        try:
            parsed: object = json.loads(value)
        except ValueError as failure:
            raise SlackError(error) from failure
        return parsed


async def read_arguments(request: web.Request) -> dict[str, Any]:
    """Merge query and body; raises invalid_json or invalid_form_data."""
    values: dict[str, Any] = dict(request.query)
    if request.method != "POST":
        return values
    if request.content_type == "application/json":
        try:
            body = await request.json()
        except ValueError as error:
            raise SlackError("invalid_json") from error
        if not isinstance(body, dict):
            raise SlackError("json_not_object")
        return values | body
    try:
        form = await request.post()
    except ValueError as error:
        raise SlackError("invalid_form_data") from error
    return values | {name: value for name, value in form.items() if isinstance(value, str)}
