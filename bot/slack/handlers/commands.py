"""Receives `/agent …`, and binds each command to the handler that carries it out."""

from collections.abc import Mapping
from typing import Any, assert_never

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService, Origin
from bot.domain.commands import (
    Command,
    ListAgents,
    ListModels,
    OpenForm,
    OpenSecrets,
    RunDoctor,
    ShowHelp,
    ShowStatus,
    StopAgent,
)
from bot.domain.help import HELP
from bot.domain.policy import Action
from bot.domain.settings_command import SetMine, SetRule
from bot.domain.start_command import StartAgent
from bot.domain.usage_command import ShowUsage
from bot.log_setup import log_scope
from bot.slack.ephemeral import EphemeralReplies, Tell
from bot.slack.events import IncomingMessage
from bot.slack.handlers.buttons import ButtonHandlers
from bot.slack.handlers.look import LookHandlers
from bot.slack.handlers.secrets import SecretHandlers
from bot.slack.handlers.start import StartHandlers
from bot.slack.handlers.usage import UsageHandlers
from bot.slack.inbox import Inbox
from bot.slack.views.text import MAX_TYPED_CHARS, plain

TOO_LONG = (
    "That is longer than a message of Slack's can be. Put the text in a file of the repository and "
    "name the file."
)


class CommandHandlers:
    """Carries out a command, typed or in a mention. Every error ends in a private sentence."""

    def __init__(  # noqa: PLR0913  (a command may belong to any of these surfaces)
        self,
        service: AgentService,
        authorization: Authorization,
        replies: EphemeralReplies,
        *,
        starts: StartHandlers,
        buttons: ButtonHandlers,
        look: LookHandlers,
        usage: UsageHandlers,
        secrets: SecretHandlers,
    ) -> None:
        self._service = service
        self._authorization = authorization
        self._replies = replies
        self._starts = starts
        self._buttons = buttons
        self._look = look
        self._usage = usage
        self._secrets = secrets
        self.hide = service.hide

    async def run_slash(self, body: Mapping[str, Any], tell: Tell) -> None:
        """Carries out `/agent …`, wherever it was typed."""
        trigger_id = str(body.get("trigger_id") or "")
        origin = Origin(body["team_id"], body["channel_id"], body["user_id"], trigger_id)
        typed = str(body.get("text") or "")
        if len(typed) > MAX_TYPED_CHARS:
            await self._replies.run_guarded(tell, tell(TOO_LONG))
            return
        await self._run_text(plain(typed), origin, tell, trigger_id=trigger_id)

    async def run_mention(
        self, text: str, origin: Origin, tell: Tell, message: IncomingMessage
    ) -> None:
        """Reads the command of a mention or a direct message, and carries it out."""
        await self._run_text(text, origin, tell, message=message)

    async def _run_text(
        self,
        text: str,
        origin: Origin,
        tell: Tell,
        *,
        trigger_id: str = "",
        message: IncomingMessage | None = None,
    ) -> None:

        async def read_and_run() -> None:
            command = await self._starts.read_command(text, origin, tell if message else None)
            await self._run(command, origin, tell, trigger_id, message)

        with log_scope(channel=origin.channel, user=origin.user):
            await self._replies.run_guarded(tell, read_and_run())

    async def _run(  # noqa: C901, PLR0912  (a match over a closed union)
        self,
        command: Command,
        origin: Origin,
        tell: Tell,
        trigger_id: str,
        message: IncomingMessage | None,
    ) -> None:
        user, team, channel = origin.user, origin.team, origin.channel
        match command:
            case StartAgent():
                await self._starts.start_agent(command, origin, message)
            case OpenForm(task=task):
                await self._starts.ask_details(trigger_id, origin, task)
            case ShowHelp():
                await tell(HELP)
            case OpenSecrets() if trigger_id:
                await self._secrets.open_list(trigger_id, user, team, channel)
            case OpenSecrets():
                await tell("Type `/agent secrets` to open the form; a message is no safe place.")
            case SetRule():
                if command.name:
                    await self._authorization.check(Action.ADMINISTER, user, team, channel)
                    await self._service.channel_settings.set(command, user, team, channel)
                await tell(await self._service.channel_settings.text(team, channel))
            case SetMine():
                await self._authorization.require(Action.READ, user, team, channel)
                if command.name:
                    await self._service.channel_settings.set_mine(command, user, team)
                await tell(await self._service.channel_settings.text_of_mine(team, user))
            case ListAgents():
                await self._look.list_agents(origin, tell)
            case ListModels(search=search):
                await self._look.list_models(search, tell)
            case ShowStatus(agent_id=agent_id):
                await self._look.show_status(agent_id, origin, tell)
            case ShowUsage():
                await self._usage.show_usage(command, user, team, channel, tell)
            case RunDoctor():
                await self._look.show_health(origin, tell)
            case StopAgent(agent_id=agent_id):
                agent = await self._look.agent_named(agent_id, origin, Action.STOP)
                await self._buttons.stop_if_allowed(agent, user)
            case _:
                assert_never(command)


def register(app: AsyncApp, inbox: Inbox, commands: CommandHandlers) -> None:
    """Attaches the slash command."""

    @app.command("/agent")
    @inbox.finishes
    async def on_command(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()

        async def tell(text: str) -> None:
            await respond(text=commands.hide(text), response_type="ephemeral")

        await commands.run_slash(body, tell)
