"""Shows in windows what an agent did and changed, and turns their pages."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, assert_never

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.errors import BotError, UserError
from bot.log_setup import log_scope
from bot.slack.ephemeral import FAILED, EphemeralReplies
from bot.slack.handlers.buttons import Click
from bot.slack.views import changes, details
from bot.slack.views.modal import ModalLocation, ModalView, sentence

logger = logging.getLogger(__name__)

_TITLES = {
    ModalView.STEPS: details.TITLE,
    ModalView.FILES: changes.TITLE,
    ModalView.HUNKS: changes.TITLE,
}
GONE = "That file is not changed any more."
OLD_WINDOW = "This window is too old. Close it and press the button in the thread again."


@dataclass(frozen=True, slots=True)
class ModalClick:
    """A button in a window: where it leads, who pressed it, and in which view."""

    place: ModalLocation | None
    user: str
    view_id: str
    trigger_id: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """Read a `block_actions` payload of a view."""
        return cls(
            ModalLocation.unpacked(str(body["actions"][0].get("value") or "")),
            user=body["user"]["id"],
            view_id=str(body["view"]["id"]),
            trigger_id=str(body.get("trigger_id") or ""),
        )


class ResultHandlers:
    """Who may read an agent's thread may read these; every click is asked anew."""

    def __init__(
        self,
        service: AgentService,
        gate: Authorization,
        client: AsyncWebClient,
        aside: EphemeralReplies,
    ) -> None:
        self._service = service
        self._gate = gate
        self._client = client
        self._aside = aside

    async def open(self, shows: ModalView, click: Click) -> None:
        """Open a window; it opens before its content is read, since Slack waits three seconds."""
        place = ModalLocation(shows, click.agent_id, click.task_id)
        tell = self._aside.to(click.user, click.channel, click.thread_ts)
        with log_scope(agent=click.agent_id, user=click.user):
            await self._aside.guarded(tell, self._open(place, click))

    async def _open(self, place: ModalLocation, click: Click) -> None:
        agent = await self._service.find(place.agent_id)
        await self._gate.require(Action.READ, click.user, agent.team, agent.channel, agent=agent)
        reading = sentence(_TITLES[place.shows], "Reading…")
        opened = await self._client.views_open(trigger_id=click.trigger_id, view=reading)
        await self._show(place, click.user, str(opened["view"]["id"]))

    async def turn(self, click: ModalClick) -> None:
        """Show another page, or the same one anew."""
        with log_scope(user=click.user):
            await self._show(click.place, click.user, click.view_id)

    async def post(self, click: ModalClick) -> None:
        """Put what the window shows into the thread as a file, and say so in the window."""
        place = click.place
        with log_scope(user=click.user):
            if place is None:
                await self._update(click.view_id, sentence(changes.TITLE, OLD_WINDOW))
                return
            view = await self._safely(place, self._post(place, click))
            await self._update(click.view_id, view)

    async def _post(self, place: ModalLocation, click: ModalClick) -> dict[str, Any]:
        agent = await self._allowed(place, click.user)
        await self._service.results.file_patch(agent, click.trigger_id, place.file)
        return sentence(_TITLES[place.shows], "It follows in the thread as a file.")

    async def _show(self, place: ModalLocation | None, user: str, view_id: str) -> None:
        if place is None:
            await self._update(view_id, sentence(changes.TITLE, OLD_WINDOW))
            return
        await self._update(view_id, await self._safely(place, self._page(place, user)))

    async def _page(self, place: ModalLocation, user: str) -> dict[str, Any]:
        agent = await self._allowed(place, user)
        results = self._service.results
        match place.shows:
            case ModalView.STEPS:
                return details.details_view(
                    place,
                    await results.steps(agent, place.task_id),
                    agent.model if agent.alive else "",
                )
            case ModalView.FILES:
                return changes.files_view(place, agent, await results.changes(agent))
            case ModalView.HUNKS:
                found = await results.changes(agent)
                for file in found.files:
                    if file.key == place.file:
                        # A long file has many pages; the others go on meanwhile.
                        return await asyncio.to_thread(changes.hunks_view, place, file, found.at)
                return changes.files_view(place, agent, found, GONE)
            case _:
                assert_never(place.shows)

    async def _safely(self, place: ModalLocation, making: Any) -> dict[str, Any]:  # noqa: ANN401
        """The view, or the sentence that says why there is none."""
        try:
            view: dict[str, Any] = await making
        except UserError as error:
            return sentence(_TITLES[place.shows], self._aside.hide(error.user_text))
        except BotError:
            logger.exception("a window could not be filled")
            return sentence(_TITLES[place.shows], FAILED)
        return view

    async def _allowed(self, place: ModalLocation, user: str) -> Agent:
        agent = await self._service.find(place.agent_id)
        await self._gate.require(Action.READ, user, agent.team, agent.channel, agent=agent)
        return agent

    async def _update(self, view_id: str, view: dict[str, Any]) -> None:
        """Show it, if the window is still open; one that was closed meanwhile is no fault."""
        try:
            await self._client.views_update(view_id=view_id, view=view)
        except SlackApiError as error:
            logger.info("a window is not shown anew: %s", error.response.get("error"))
