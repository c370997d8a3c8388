"""Every button of an agent's messages: of the card, the answer, a question, a limit."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.handlers.buttons import Click
from bot.slack.handlers.desks import Handlers
from bot.slack.inbox import Inbox
from bot.slack.views import task_card
from bot.slack.views.modal import ModalView
from bot.slack.views.question import ANSWERS, LEAVES
from bridge.protocol import QuestionKind

Deed = Callable[[Click], Awaitable[None]]


def register(app: AsyncApp, desks: Handlers, inbox: Inbox) -> None:
    """Attach them all; a button's value begins with `agent:task`."""
    for name, deed in _deeds(desks).items():
        app.action(name)(inbox.finishes(_clicked(deed)))


def _deeds(desks: Handlers) -> dict[str, Deed]:
    buttons, publish, results = desks.buttons, desks.publish, desks.results

    async def stop(click: Click) -> None:
        await desks.words.stop(click.agent_id, click.user, click.channel, click.thread_ts)

    return {
        task_card.INTERRUPT: buttons.interrupt,
        task_card.STOP: stop,
        task_card.PAUSE: buttons.pause,
        task_card.RESUME: buttons.resume,
        task_card.CONTINUE: buttons.go_on,
        task_card.UNDO: buttons.undo,
        task_card.PATCH: buttons.patch,
        task_card.DETAILS: partial(results.open, ModalView.STEPS),
        task_card.DIFF: partial(results.open, ModalView.FILES),
        task_card.PUSH: publish.push,
        task_card.PULL: publish.open,
        **{name: partial(buttons.add_budget, usd=usd) for name, usd in task_card.BUDGETS.items()},
        **dict.fromkeys(ANSWERS, partial(buttons.answer, kind=QuestionKind.QUESTION)),
        **dict.fromkeys(LEAVES, partial(buttons.answer, kind=QuestionKind.APPROVAL)),
    }


def _clicked(deed: Deed) -> Callable[[AsyncAck, dict[str, Any]], Awaitable[None]]:
    async def on_click(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await deed(Click.of(body))

    return on_click
