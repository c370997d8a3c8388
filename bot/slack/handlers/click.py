"""Reads a click on a button of an agent's message, and attaches what it runs."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.inbox import Inbox


@dataclass(frozen=True, slots=True)
class Click:
    """A click on a button of an agent's message.

    `choice` is the part of the button's value behind `agent:task:`; `trigger_id` tells this click
    from all others, and opens a modal within three seconds.
    """

    agent_id: str
    task_id: str
    choice: str
    user: str
    channel: str
    thread_ts: str | None
    trigger_id: str

    @classmethod
    def from_payload(cls, body: Mapping[str, Any]) -> Self:
        """Reads a `block_actions` payload of a message."""
        agent_id, _, behind = str(body["actions"][0].get("value") or "").partition(":")
        task_id, _, choice = behind.partition(":")
        return cls(
            agent_id,
            task_id,
            choice,
            user=body["user"]["id"],
            channel=body["channel"]["id"],
            thread_ts=body.get("message", {}).get("thread_ts"),
            trigger_id=str(body.get("trigger_id") or ""),
        )


RunClick = Callable[[Click], Awaitable[None]]


def register_click(app: AsyncApp, inbox: Inbox, action_id: str, run_click: RunClick) -> None:
    """Attaches a button of an agent's message; its value begins with `agent:task`."""

    @app.action(action_id)
    @inbox.finishes
    async def on_click(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await run_click(Click.from_payload(body))
