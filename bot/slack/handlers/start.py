"""Starts agents: by command, mention, form, or from the menu of any message."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService, Origin
from bot.domain.agent import ThreadRef
from bot.domain.commands import Command, parse
from bot.domain.help import WELCOME
from bot.domain.policy import Action
from bot.domain.preferences import Preferences
from bot.domain.start_command import EXAMPLE, StartAgent
from bot.domain.thread_context import Opening
from bot.errors import InvalidCommand
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies, Tell
from bot.slack.events import IncomingMessage
from bot.slack.inbox import Inbox
from bot.slack.thread_history import ThreadHistory
from bot.slack.views.start_form import (
    CALLBACK,
    REPOSITORY,
    Draft,
    FormLocation,
    place_of,
    read_form,
    repository_options,
    start_form,
)
from bot.slack.views.text import plain


class StartHandlers:
    """Starts one agent, or tells the person in a private sentence why not."""

    def __init__(
        self,
        service: AgentService,
        authorization: Authorization,
        client: AsyncWebClient,
        replies: EphemeralReplies,
        threads: ThreadHistory,
        *,
        max_steps: int,
    ) -> None:
        self._service = service
        self._authorization = authorization
        self._client = client
        self._replies = replies
        self._threads = threads
        self._max_steps = max_steps

    async def read_command(self, text: str, origin: Origin, greet: Tell | None) -> Command:
        """Reads what was typed behind `/agent` or a mention; raises InvalidCommand.

        A task that names no repository is about the one that is set for the channel or person.
        `greet` tells a newcomer, whose text starts nothing, what the bot does.
        """
        known = await self._preferences(origin)
        starts = False
        try:
            command = parse(text, max_steps=self._max_steps, default=known.repo)
            starts = isinstance(command, StartAgent)
            return command
        finally:
            if greet is not None and not starts:
                await self._welcome(origin, greet)

    async def _welcome(self, origin: Origin, tell: Tell) -> None:
        _, why_not = await self._authorization.judge(
            Action.READ, origin.user, origin.team, origin.channel
        )
        if not why_not and await self._service.channel_settings.is_new(origin.user, origin.team):
            await tell(WELCOME)

    async def _preferences(self, origin: Origin) -> Preferences:
        settings = self._service.channel_settings
        return await settings.preferences(origin.team, origin.channel, origin.user)

    async def start_agent(
        self, command: StartAgent, origin: Origin, message: IncomingMessage | None = None
    ) -> None:
        """Starts an agent; `message` is what asked for it. Raises UserError."""
        origin = await self._known(origin)
        opening = Opening()
        if message is not None:
            if message.thread_ts:
                opening = await self._threads.read_before(
                    message.channel, message.thread_ts, message.ts
                )
            opening = replace(opening, files=(*message.files, *opening.files))
        await self._service.start(command, origin, opening)

    async def _known(self, origin: Origin) -> Origin:
        """Adds the name of the person, who must be allowed to start agents; raises UserError."""
        person = await self._authorization.require(
            Action.START, origin.user, origin.team, origin.channel
        )
        return replace(origin, name=person.name)

    async def ask_details(self, trigger_id: str, origin: Origin, task: str) -> None:
        """Asks for what is missing in a form; raises InvalidCommand where none can be opened."""
        if not trigger_id:
            raise InvalidCommand(_NO_REPOSITORY)
        await self._open(trigger_id, origin, FormLocation(origin.channel), task)

    async def list_options(self, origin: Origin, typed: str) -> list[dict[str, Any]]:
        """Returns the repositories to choose from, for who may start agents there."""
        _, why_not = await self._authorization.judge(
            Action.START, origin.user, origin.team, origin.channel
        )
        if why_not:
            return []
        repositories = await self._service.repositories(origin.team, origin.channel)
        return repository_options(repositories, typed)

    async def _open(self, trigger_id: str, origin: Origin, place: FormLocation, task: str) -> None:
        known = await self._preferences(origin)
        draft = Draft(
            task,
            str(known.repo or ""),
            known.model or "",
            listed=self._service.gateway.lists_repositories,
        )
        await self._client.views_open(trigger_id=trigger_id, view=start_form(place, draft))

    async def submit_form(self, command: StartAgent, origin: Origin, place: FormLocation) -> None:
        """Starts an agent as the submitted form says."""
        tell = self._replies.teller_for(origin.user, origin.channel, origin.thread_ts)
        with log_scope(channel=origin.channel, user=origin.user):
            await self._replies.run_guarded(tell, self._from_form(command, origin, place))

    async def _from_form(self, command: StartAgent, origin: Origin, place: FormLocation) -> None:
        origin = await self._known(origin)
        opening = Opening()
        if place.thread_ts:
            # The message that it was asked from is a part of what was said.
            opening = await self._threads.read_before(place.channel, place.thread_ts, _LATER)
        await self._service.start(command, origin, opening)

    async def open_from_message(self, body: Mapping[str, Any], tell: Tell) -> None:
        """Opens the form from the menu of a message, for an agent in the thread of the message."""
        message, channel = body["message"], body["channel"]["id"]
        team, user = body["team"]["id"], body["user"]["id"]
        thread_ts = str(message.get("thread_ts") or message["ts"])
        with log_scope(channel=channel, user=user):
            agent = await self._service.store.agent_of_thread(ThreadRef(team, channel, thread_ts))
            if agent is not None:
                await tell(_LIVES_HERE if agent.alive else _LIVED_HERE)
                return
            task = plain(str(message.get("text") or ""))
            origin, place = Origin(team, channel, user), FormLocation(channel, thread_ts)
            opening = self._open(str(body["trigger_id"]), origin, place, task)
            await self._replies.run_guarded(tell, opening)


START_SHORTCUT = "start_agent"
# Later than every message of any thread.
_LATER = "9999999999.999999"
_NO_REPOSITORY = (
    f"Name the repository first: `{EXAMPLE}`. `/agent set repo owner/name` sets one for the "
    "channel, `/agent me repo owner/name` one for you; `-` in its place is an empty workspace."
)
_LIVES_HERE = "An agent lives in this thread already: reply there, and it takes your message up."
_LIVED_HERE = (
    'An agent has lived in this thread: reply "restart" there to go on with it, or start a new '
    "one by `/agent`."
)


def register(app: AsyncApp, inbox: Inbox, starts: StartHandlers) -> None:
    """Attaches the form's submission and the shortcut."""

    @app.shortcut(START_SHORTCUT)
    @inbox.finishes
    async def on_shortcut(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()

        async def tell(text: str) -> None:
            await respond(text=text, response_type="ephemeral", replace_original=False)

        await starts.open_from_message(body, tell)

    @app.options(REPOSITORY)
    async def on_options(ack: AsyncAck, body: dict[str, Any]) -> None:
        place = place_of(body.get("view") or {})
        origin = Origin(body["team"]["id"], place.channel, body["user"]["id"])
        await ack(options=await starts.list_options(origin, str(body.get("value") or "")))

    @app.view(CALLBACK)
    @inbox.finishes
    async def on_form(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        command, errors = read_form(view)
        if command is None:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        place = place_of(view)
        team, user = body["team"]["id"], body["user"]["id"]
        origin = Origin(team, place.channel, user, view["id"], place.thread_ts)
        await starts.submit_form(command, origin, place)
