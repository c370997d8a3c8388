"""Shows in modals what an agent did and changed, and turns their pages."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self, assert_never

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.errors import BotError, ModelUnusable, UserError
from bot.log_setup import log_scope
from bot.redaction import Hide
from bot.slack.ephemeral import FAILED, EphemeralReplies
from bot.slack.handlers.click import Click, register_click
from bot.slack.inbox import Inbox
from bot.slack.views import changes, details, task_card
from bot.slack.views.modal import POST, TURN, ModalLocation, ModalView, sentence

logger = logging.getLogger(__name__)

_TITLES = {
    ModalView.STEPS: details.TITLE,
    ModalView.FILES: changes.TITLE,
    ModalView.HUNKS: changes.TITLE,
}
GONE = "That file is not changed any more."
OLD_WINDOW = "This window is too old. Close it and press the button in the thread again."
View = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ModalClick:
    """A click on a button in a modal; `location` is None in one of an older version."""

    location: ModalLocation | None
    user: str
    view_id: str
    trigger_id: str

    @classmethod
    def from_payload(cls, body: Mapping[str, Any]) -> Self:
        """Reads a `block_actions` payload of a view."""
        return cls(
            ModalLocation.unpacked(str(body["actions"][0].get("value") or "")),
            user=body["user"]["id"],
            view_id=str(body["view"]["id"]),
            trigger_id=str(body.get("trigger_id") or ""),
        )


class AgentModals:
    """Checks who uses an agent's modal, and puts views into it; refusals are views too."""

    def __init__(self, authorization: Authorization, client: AsyncWebClient, hide: Hide) -> None:
        self._authorization = authorization
        self._client = client
        self._hide = hide

    async def agent_of(
        self, location: ModalLocation, action: Action, user: str, channel: str = ""
    ) -> Agent:
        """Returns the agent of a modal; raises UserError when the person may not do this.

        `channel` is that of the click that opens the modal; a click inside has none.
        """
        agent = await self._authorization.agent_for(
            action, location.agent_id, user, channel=channel
        )
        await self._authorization.require(action, user, agent.team, agent.channel, agent=agent)
        return agent

    async def view_or_refusal(self, title: str, making: Awaitable[View]) -> View:
        """Returns the view, or one with the sentence that says why there is none.

        ModelUnusable goes on to the caller, since a form shows it below its field.
        """
        try:
            return await making
        except ModelUnusable:
            raise
        except UserError as error:
            logger.info("refused: %s", error)
            return sentence(title, self._hide(error.user_text))
        except (BotError, SlackApiError):
            logger.exception("a modal could not be filled")
            return sentence(title, FAILED)

    async def update(self, view_id: str, view: View) -> None:
        """Shows a view in a modal; one that was closed meanwhile is no fault."""
        try:
            await self._client.views_update(view_id=view_id, view=view)
        except SlackApiError as error:
            logger.info("a modal is not updated: %s", error.response.get("error"))


class ResultHandlers:
    """Shows an agent's results to who may read its thread; every click is checked anew."""

    def __init__(
        self,
        service: AgentService,
        modals: AgentModals,
        client: AsyncWebClient,
        replies: EphemeralReplies,
    ) -> None:
        self._service = service
        self._modals = modals
        self._client = client
        self._replies = replies

    async def open_modal(self, shows: ModalView, click: Click) -> None:
        """Opens a modal; it opens before its content is read, since Slack waits three seconds."""
        location = ModalLocation(shows, click.agent_id, click.task_id)
        tell = self._replies.teller_for(click.user, click.channel, click.thread_ts)
        with log_scope(agent=click.agent_id, user=click.user):
            await self._replies.run_guarded(tell, self._open(location, click))

    async def _open(self, location: ModalLocation, click: Click) -> None:
        await self._modals.agent_of(location, Action.READ, click.user, click.channel)
        reading = sentence(_TITLES[location.shows], "Reading…")
        answer = await self._client.views_open(trigger_id=click.trigger_id, view=reading)
        await self._show(location, click.user, str(answer["view"]["id"]))

    async def turn_page(self, click: ModalClick) -> None:
        """Shows another page, or the same one anew."""
        with log_scope(user=click.user):
            await self._show(click.location, click.user, click.view_id)

    async def post_patch(self, click: ModalClick) -> None:
        """Puts what the modal shows into the thread as a file, and says so in the modal."""
        with log_scope(user=click.user):
            view = await self._modals.view_or_refusal(_title(click.location), self._post(click))
            await self._modals.update(click.view_id, view)

    async def _post(self, click: ModalClick) -> View:
        location = known_location(click.location)
        agent = await self._modals.agent_of(location, Action.READ, click.user)
        await self._service.results.file_patch(agent, click.trigger_id, location.file)
        return sentence(_title(location), "It follows in the thread as a file.")

    async def _show(self, location: ModalLocation | None, user: str, view_id: str) -> None:
        view = await self._modals.view_or_refusal(_title(location), self._page(location, user))
        await self._modals.update(view_id, view)

    async def _page(self, location: ModalLocation | None, user: str) -> View:
        location = known_location(location)
        agent = await self._modals.agent_of(location, Action.READ, user)
        results = self._service.results
        match location.shows:
            case ModalView.STEPS:
                return details.details_view(
                    location,
                    await results.steps(agent, location.task_id),
                    agent.model if agent.alive else "",
                )
            case ModalView.FILES:
                return changes.files_view(location, agent, await results.changes(agent))
            case ModalView.HUNKS:
                patch = await results.changes(agent)
                for file in patch.files:
                    if file.key == location.file:
                        # A long file has many pages; the others go on meanwhile.
                        return await asyncio.to_thread(changes.hunks_view, location, file, patch.at)
                return changes.files_view(location, agent, patch, GONE)
            case _:
                assert_never(location.shows)


def known_location(location: ModalLocation | None) -> ModalLocation:
    """Returns the location of a modal; raises UserError in a modal of an older version."""
    if location is None:
        raise UserError(OLD_WINDOW)
    return location


def _title(location: ModalLocation | None) -> str:
    return _TITLES[location.shows] if location else changes.TITLE


def register(app: AsyncApp, inbox: Inbox, results: ResultHandlers) -> None:
    """Attaches the buttons that open a modal, and those inside: a value is where it leads."""
    register_click(app, inbox, task_card.DETAILS, partial(results.open_modal, ModalView.STEPS))
    register_click(app, inbox, task_card.DIFF, partial(results.open_modal, ModalView.FILES))

    @app.action(re.compile(f"^{TURN}:"))
    @inbox.finishes
    async def on_turn(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await results.turn_page(ModalClick.from_payload(body))

    @app.action(POST)
    @inbox.finishes
    async def on_post(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await results.post_patch(ModalClick.from_payload(body))
