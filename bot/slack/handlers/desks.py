"""All the desks that people's wishes come to, put together once."""

from collections.abc import Mapping
from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.access.secrets import Secrets
from bot.agents.context import Dependencies
from bot.agents.lifecycle.background_loops import Loop
from bot.agents.ports.store import (
    UsageReads,
)
from bot.agents.publishing import Publishing
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.slack.ephemeral import EphemeralReplies
from bot.slack.handlers.buttons import ButtonHandlers
from bot.slack.handlers.commands import CommandHandlers
from bot.slack.handlers.doctor import DoctorHandlers
from bot.slack.handlers.home import HomeHandlers
from bot.slack.handlers.look import LookHandlers
from bot.slack.handlers.models import ModelHandlers
from bot.slack.handlers.publish import PublishHandlers
from bot.slack.handlers.results import ResultHandlers
from bot.slack.handlers.secrets import SecretHandlers
from bot.slack.handlers.start import StartHandlers
from bot.slack.handlers.usage import UsageHandlers
from bot.slack.session_status import SessionStatusUpdater
from bot.slack.thread_history import ThreadHistory


@dataclass(frozen=True, slots=True)
class Handlers:
    """Words, clicks, secrets, results: each kind of wish has its desk."""

    words: CommandHandlers
    starting: StartHandlers
    buttons: ButtonHandlers
    secrets: SecretHandlers
    home: HomeHandlers
    results: ResultHandlers
    publish: PublishHandlers
    models: ModelHandlers
    sessions: SessionStatusUpdater

    def changed(self, agent: Agent) -> None:
        """An agent was stored."""
        self.home.changed(agent)
        self.sessions.changed(agent)

    def loops(self) -> Mapping[str, Loop]:
        """What shows changes outside of threads as long as the bot runs, by name."""
        return {"home tabs": self.home.serve, "session status": self.sessions.serve}


def open_desks(  # noqa: PLR0913  (each desk needs something of its own)
    service: AgentService,
    gate: Authorization,
    keyring: Secrets,
    usage: UsageReads,
    world: Dependencies,
    client: AsyncWebClient,
    *,
    publishing: Publishing,
    workspace_url: str,
) -> Handlers:
    """The desks in front of one service."""
    aside = EphemeralReplies(client, service.hide)
    secrets = SecretHandlers(keyring, gate, client)
    spending = UsageHandlers(usage, gate, client, world.settings, world.clock)
    doctor = DoctorHandlers(gate, world.examine)
    looking = LookHandlers(service, gate, spending, doctor, publishing, workspace_url)
    settings = world.settings
    max_steps = max(settings.agent_max_steps, settings.agent_max_steps_limit)
    starting = StartHandlers(
        service, gate, client, aside, ThreadHistory(client, gate.people), max_steps=max_steps
    )
    words = CommandHandlers(service, gate, secrets, client, aside, looking, starting)
    results = ResultHandlers(service, gate, client, aside)
    buttons = ButtonHandlers(service, gate, aside)
    publish = PublishHandlers(buttons, publishing, world, client, workspace_url)
    home = HomeHandlers(service, gate, client, workspace_url=workspace_url)
    models = ModelHandlers(service, gate, client, service.hide)
    sessions = SessionStatusUpdater(
        client, service.control.waits, enabled=settings.slack_agent_sessions
    )
    return Handlers(words, starting, buttons, secrets, home, results, publish, models, sessions)
