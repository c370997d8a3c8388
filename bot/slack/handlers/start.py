"""Receives the wishes for a new agent: by command, mention, form, or from any message."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService, Origin
from bot.domain.agent import ThreadRef
from bot.domain.commands import Command, parse
from bot.domain.help import EXAMPLE, WELCOME
from bot.domain.policy import Action
from bot.domain.preferences import Preferences
from bot.domain.start_command import StartAgent
from bot.domain.thread_context import Opening
from bot.errors import InvalidCommand
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies, Tell
from bot.slack.events import IncomingMessage
from bot.slack.thread_history import ThreadHistory
from bot.slack.views.start_form import Draft, FormLocation, repository_options, start_form
from bot.slack.views.text import plain


class StartHandlers:
    """However it is asked for, one agent starts, or one private sentence says why not."""

    def __init__(
        self,
        service: AgentService,
        gate: Authorization,
        client: AsyncWebClient,
        aside: EphemeralReplies,
        threads: ThreadHistory,
        *,
        max_steps: int,
    ) -> None:
        self._service = service
        self._gate = gate
        self._client = client
        self._aside = aside
        self._threads = threads
        self._max_steps = max_steps

    async def read(self, text: str, origin: Origin, greet: Tell | None) -> Command:
        """What was typed behind `/agent` or a mention; raises InvalidCommand.

        A task that names no repository is about the one that is set for the channel or person.
        `greet` tells somebody who is new here, and starts nothing by this, what it is about.
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
        _, why_not = await self._gate.judge(Action.READ, origin.user, origin.team, origin.channel)
        if not why_not and await self._service.rulebook.is_new(origin.user, origin.team):
            await tell(WELCOME)

    async def _preferences(self, origin: Origin) -> Preferences:
        book = self._service.rulebook
        return await book.preferences(origin.team, origin.channel, origin.user)

    async def start(
        self, command: StartAgent, origin: Origin, message: IncomingMessage | None = None
    ) -> None:
        """Start an agent; `message` is what asked for it. Raises UserError."""
        origin = await self._known(origin)
        opening = Opening()
        if message is not None:
            if message.thread_ts:
                opening = await self._threads.before(message.channel, message.thread_ts, message.ts)
            opening = replace(opening, files=(*message.files, *opening.files))
        await self._service.start(command, origin, opening)

    async def _known(self, origin: Origin) -> Origin:
        """The origin with the name of the person, who may start agents there; or UserError."""
        person = await self._gate.require(Action.START, origin.user, origin.team, origin.channel)
        return replace(origin, name=person.name)

    async def ask(self, trigger_id: str, origin: Origin, task: str) -> None:
        """Ask for what is missing in a form; raises InvalidCommand where none can be opened."""
        if not trigger_id:
            raise InvalidCommand(_NO_REPOSITORY)
        await self._open(trigger_id, origin, FormLocation(origin.channel), task)

    async def options(self, origin: Origin, typed: str) -> list[dict[str, Any]]:
        """The repositories to choose from, for who may start agents there."""
        _, why_not = await self._gate.judge(Action.START, origin.user, origin.team, origin.channel)
        if why_not:
            return []
        found = await self._service.repositories(origin.team, origin.channel)
        return repository_options(found, typed)

    async def _open(self, trigger_id: str, origin: Origin, place: FormLocation, task: str) -> None:
        known = await self._preferences(origin)
        draft = Draft(
            task,
            str(known.repo or ""),
            known.model or "",
            listed=self._service.lists_repositories,
        )
        await self._client.views_open(trigger_id=trigger_id, view=start_form(place, draft))

    async def form(self, command: StartAgent, origin: Origin, place: FormLocation) -> None:
        """The start form was sent."""
        tell = self._aside.to(origin.user, origin.channel, origin.thread_ts)
        with log_scope(channel=origin.channel, user=origin.user):
            await self._aside.guarded(tell, self._from_form(command, origin, place))

    async def _from_form(self, command: StartAgent, origin: Origin, place: FormLocation) -> None:
        origin = await self._known(origin)
        opening = Opening()
        if place.thread_ts:
            # The message that it was asked from is a part of what was said.
            opening = await self._threads.before(place.channel, place.thread_ts, _LATER)
        await self._service.start(command, origin, opening)

    async def from_message(self, body: Mapping[str, Any], tell: Tell) -> None:
        """The shortcut on a message: its thread is where the agent will live."""
        message, channel = body["message"], body["channel"]["id"]
        team, user = body["team"]["id"], body["user"]["id"]
        thread_ts = str(message.get("thread_ts") or message["ts"])
        with log_scope(channel=channel, user=user):
            agent = await self._service.of_thread(ThreadRef(team, channel, thread_ts))
            if agent is not None:
                await tell(_LIVES_HERE if agent.alive else _LIVED_HERE)
                return
            task = plain(str(message.get("text") or ""))
            origin, place = Origin(team, channel, user), FormLocation(channel, thread_ts)
            opening = self._open(str(body["trigger_id"]), origin, place, task)
            await self._aside.guarded(tell, opening)


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
