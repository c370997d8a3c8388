"""Every button of an agent's messages: of the card, the answer, a question, a limit."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.buttons_desk import Click
from bot.slack.desks import Desks
from bot.slack.inbox import Inbox
from bot.slack.render import card
from bot.slack.render.question import ANSWERS, LEAVES
from bot.slack.render.windows import Shows
from bridge.protocol import QuestionKind

Deed = Callable[[Click], Awaitable[None]]


def register(app: AsyncApp, desks: Desks, inbox: Inbox) -> None:
    """Attach them all; a button's value begins with `agent:task`."""
    for name, deed in _deeds(desks).items():
        app.action(name)(inbox.finishes(_clicked(deed)))


def _deeds(desks: Desks) -> dict[str, Deed]:
    buttons, publish, results = desks.buttons, desks.publish, desks.results

    async def stop(click: Click) -> None:
        await desks.words.stop(click.agent_id, click.user, click.channel, click.thread_ts)

    return {
        card.INTERRUPT: buttons.interrupt,
        card.STOP: stop,
        card.PAUSE: buttons.pause,
        card.RESUME: buttons.resume,
        card.CONTINUE: buttons.go_on,
        card.UNDO: buttons.undo,
        card.PATCH: buttons.patch,
        card.DETAILS: partial(results.open, Shows.STEPS),
        card.DIFF: partial(results.open, Shows.FILES),
        card.PUSH: publish.push,
        card.PULL: publish.open,
        **{name: partial(buttons.add_budget, usd=usd) for name, usd in card.BUDGETS.items()},
        **dict.fromkeys(ANSWERS, partial(buttons.answer, kind=QuestionKind.QUESTION)),
        **dict.fromkeys(LEAVES, partial(buttons.answer, kind=QuestionKind.APPROVAL)),
    }


def _clicked(deed: Deed) -> Callable[[AsyncAck, dict[str, Any]], Awaitable[None]]:
    async def on_click(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await deed(Click.of(body))

    return on_click
