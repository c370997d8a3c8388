"""Receives what people say in Slack, calls the service, and answers them privately."""

from collections import deque
from collections.abc import Mapping
from typing import Any, assert_never

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService, Origin
from bot.domain.agent import Agent, ThreadRef
from bot.domain.commands import (
    Command,
    ListAgents,
    ListModels,
    OpenForm,
    OpenSecrets,
    ShowHelp,
    ShowStatus,
    StopAgent,
)
from bot.domain.doctor_command import RunDoctor
from bot.domain.help import HELP
from bot.domain.policy import Action
from bot.domain.quoting import escaped
from bot.domain.replies import Intent
from bot.domain.settings_command import SetMine, SetRule
from bot.domain.start_command import StartAgent
from bot.domain.usage_command import ShowUsage
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies, Tell
from bot.slack.events import EditedMessage, IncomingMessage
from bot.slack.handlers.look import LookHandlers
from bot.slack.handlers.secrets import SecretHandlers
from bot.slack.handlers.start import StartHandlers
from bot.slack.handlers.threads import ThreadHandlers
from bot.slack.views.text import plain

# Both events of a message arrive within seconds, so that few have to be known.
_MOST_WITH_FILES = 200


class CommandHandlers:
    """One method for each thing a person can do. Every error ends in a private sentence."""

    def __init__(
        self,
        service: AgentService,
        gate: Authorization,
        secrets: SecretHandlers,
        client: AsyncWebClient,
        aside: EphemeralReplies,
        looking: LookHandlers,
        starting: StartHandlers,
    ) -> None:
        self._service = service
        self._gate = gate
        self._secrets = secrets
        self._client = client
        self._aside = aside
        self._looking = looking
        self._starting = starting
        self._thread = ThreadHandlers(service, gate, aside)
        self._with_files: deque[tuple[str, str]] = deque(maxlen=_MOST_WITH_FILES)
        self.hide = service.hide

    async def slash(self, body: Mapping[str, Any], tell: Tell) -> None:
        """`/agent …`, wherever it was typed."""
        trigger_id = str(body.get("trigger_id") or "")
        origin = Origin(body["team_id"], body["channel_id"], body["user_id"], trigger_id)
        await self._do(plain(str(body.get("text") or "")), origin, tell, trigger_id)

    async def message(self, message: IncomingMessage, *, mention_event: bool) -> None:
        """A message in a channel, a thread or a DM; silence where it is not for us.

        A mention arrives twice, as `message` and as `app_mention`: outside our own threads
        only the second counts, and inside them the message is claimed once. A mention with a file
        may arrive as `message` alone (slackapi/bolt-python#925), so of those the first counts.
        """
        if message.thread_ts and await self._thread.said(message, message.thread_ts):
            tell = self._aside.to(message.user, message.channel, message.thread_ts)
            await self._tell_unfit(message, tell)
            return
        if not message.direct and not self._is_for_us(message, mention_event=mention_event):
            return
        if message.thread_ts and not message.mentions_bot:
            return
        origin = Origin(
            message.team,
            message.channel,
            message.user,
            claim=message.ts,
            thread_ts=message.thread_ts or message.ts,
            client_msg_id=message.client_msg_id,
        )
        tell = self._aside.to(origin.user, origin.channel, origin.thread_ts)
        await self._tell_unfit(message, tell)
        await self._do(message.text or "help", origin, tell, message=message)

    def _is_for_us(self, message: IncomingMessage, *, mention_event: bool) -> bool:
        if not message.mentions_bot or not (message.files or message.unfit):
            return mention_event
        if (message.channel, message.ts) in self._with_files:
            return False
        self._with_files.append((message.channel, message.ts))
        return True

    async def _tell_unfit(self, message: IncomingMessage, tell: Tell) -> None:
        if message.unfit:
            listed = " ".join(escaped(why) for why in message.unfit)
            await tell(f"Not handed to the agent: {listed}")

    async def revised(self, revised: EditedMessage) -> None:
        """A message in a thread was edited or deleted."""
        await self._thread.revised(revised)

    async def reaction(self, team: str, channel: str, ts: str, user: str) -> None:
        """The stop reaction, on any message of a thread of ours."""
        await self.pointed(Intent.STOP, team, channel, ts, user)

    async def pointed(self, meant: Intent, team: str, channel: str, ts: str, user: str) -> None:
        """Somebody pointed at any message of a thread of ours, and means this by it."""
        agent = await self._service.of_message(team, channel, ts)
        if agent is None:
            root = await self._root_of(channel, ts)
            agent = await self._service.of_thread(ThreadRef(team, channel, root)) if root else None
        if agent is None or not agent.alive:
            return
        if meant is Intent.STOP:
            await self.stop(agent.id, user, channel, agent.thread_ts)
            return
        tell = self._aside.to(user, channel, agent.thread_ts)
        with log_scope(agent=agent.id, user=user):
            await self._aside.guarded(tell, self._hold_up(meant, agent, user, tell))

    async def _hold_up(self, meant: Intent, agent: Agent, user: str, tell: Tell) -> None:
        await self._gate.check(Action.INTERRUPT, user, agent.team, agent.channel, agent=agent)
        if meant is Intent.PAUSE:
            await tell(await self._service.control.pause(agent.id))
        else:
            await self._service.interrupt(agent.id, agent.task_id)

    async def stop(
        self, agent_id: str, user: str, channel: str, thread_ts: str | None = None
    ) -> None:
        """Stop an agent, by whatever way it was asked for."""
        tell = self._aside.to(user, channel, thread_ts)
        with log_scope(agent=agent_id, user=user):
            await self._aside.guarded(tell, self._stop(agent_id, user))

    async def stop_from_home(self, agent_id: str, team: str, user: str) -> None:
        """Stop an agent by the button of the Home tab."""
        agent = await self._service.of_team(agent_id, team)
        if agent is not None:
            await self.stop(agent.id, user, agent.channel, agent.thread_ts)

    async def _stop(self, agent_id: str, user: str) -> None:
        agent = await self._service.find(agent_id)
        await self._gate.require(Action.STOP, user, agent.team, agent.channel, agent=agent)
        try:
            await self._service.stop(agent_id, user)
        finally:
            # Afterwards: the database may let a writer wait, and a stop does not.
            await self._gate.note(Action.STOP, user, agent_id)

    async def _do(
        self,
        text: str,
        origin: Origin,
        tell: Tell,
        trigger_id: str = "",
        message: IncomingMessage | None = None,
    ) -> None:
        async def act() -> None:
            command = await self._starting.read(text, origin, tell if message else None)
            if isinstance(command, StartAgent):
                await self._starting.start(command, origin, message)
            else:
                await self._obey(command, origin, tell, trigger_id)

        with log_scope(channel=origin.channel, user=origin.user):
            await self._aside.guarded(tell, act())

    async def _obey(self, command: Command, origin: Origin, tell: Tell, trigger_id: str) -> None:
        user, team, channel = origin.user, origin.team, origin.channel
        match command:
            case StartAgent():
                await self._starting.start(command, origin)
            case OpenForm(task=task):
                await self._starting.ask(trigger_id, origin, task)
            case ShowHelp():
                await tell(HELP)
            case OpenSecrets() if trigger_id:
                await self._secrets.open(trigger_id, user, team, channel)
            case OpenSecrets():
                await tell("Type `/agent secrets` to open the form; a message is no safe place.")
            case SetRule():
                if command.name:
                    await self._gate.check(Action.ADMINISTER, user, team, channel)
                    await self._service.rulebook.set(command, user, team, channel)
                await tell(await self._service.rulebook.text(team, channel))
            case SetMine():
                await self._gate.require(Action.READ, user, team, channel)
                if command.name:
                    await self._service.rulebook.set_mine(command, user, team)
                await tell(await self._service.rulebook.text_of_mine(team, user))
            case ListAgents() | ListModels() | ShowStatus() | ShowUsage() | RunDoctor():
                await self._looking.show(command, origin, tell)
            case StopAgent(agent_id=agent_id):
                agent = await self._looking.named(agent_id, origin)
                await self._stop(agent.id, user)
            case _:
                assert_never(command)

    async def _root_of(self, channel: str, ts: str) -> str | None:
        """The thread of a message that is not ours, asked of Slack."""
        try:
            found = await self._client.conversations_replies(channel=channel, ts=ts, limit=1)
        except SlackApiError:
            return None
        messages = found.get("messages") or []
        return str(messages[0].get("thread_ts") or "") or None if messages else None
