"""The buttons of the live card and of the answer."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.buttons_desk import ButtonsDesk, Click
from bot.slack.desk import Desk
from bot.slack.inbox import Inbox
from bot.slack.render.card import (
    BUDGETS,
    CONTINUE,
    INTERRUPT,
    PATCH,
    PAUSE,
    RESUME,
    STOP,
    UNDO,
)
from bot.slack.render.question import ANSWERS, LEAVES
from bridge.protocol import QuestionKind


def register(app: AsyncApp, desk: ButtonsDesk, words: Desk, inbox: Inbox) -> None:
    """Attach every button of card and answer; a button's value is `agent:task`."""

    @app.action(INTERRUPT)
    @inbox.finishes
    async def on_interrupt(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.interrupt(Click.of(body))

    @app.action(STOP)
    @inbox.finishes
    async def on_stop(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        click = Click.of(body)
        await words.stop(click.agent_id, click.user, click.channel, click.thread_ts)

    @app.action(PATCH)
    @inbox.finishes
    async def on_patch(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.patch(Click.of(body))

    @app.action(CONTINUE)
    @inbox.finishes
    async def on_continue(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.go_on(Click.of(body))

    deeds: dict[str, Callable[[Click], Awaitable[None]]] = {
        PAUSE: desk.pause,
        RESUME: desk.resume,
        UNDO: desk.undo,
        **dict.fromkeys(ANSWERS, partial(desk.answer, kind=QuestionKind.QUESTION)),
        **dict.fromkeys(LEAVES, partial(desk.answer, kind=QuestionKind.APPROVAL)),
    }
    for name, deed in deeds.items():
        app.action(name)(inbox.finishes(_clicked(deed)))

    async def on_budget(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.add_budget(Click.of(body), BUDGETS[body["actions"][0]["action_id"]])

    for name in BUDGETS:
        app.action(name)(inbox.finishes(on_budget))


def _clicked(
    deed: Callable[[Click], Awaitable[None]],
) -> Callable[[AsyncAck, dict[str, Any]], Awaitable[None]]:
    async def on_click(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await deed(Click.of(body))

    return on_click
