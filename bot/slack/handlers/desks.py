"""All the desks that people's wishes come to, put together once."""

from collections.abc import Mapping
from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Gate
from bot.agents.access.secrets import Keyring
from bot.agents.context import World
from bot.agents.ledger_ports import UsageReads
from bot.agents.lifecycle.background_loops import Loop
from bot.agents.publishing import Publishing
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.slack.ephemeral import Aside
from bot.slack.handlers.buttons import ButtonsDesk
from bot.slack.handlers.commands import Desk
from bot.slack.handlers.doctor import DoctorDesk
from bot.slack.handlers.home import HomeDesk
from bot.slack.handlers.look import LookDesk
from bot.slack.handlers.models import ModelDesk
from bot.slack.handlers.publish import PublishDesk
from bot.slack.handlers.results import ResultsDesk
from bot.slack.handlers.secrets import SecretsDesk
from bot.slack.handlers.start import StartDesk
from bot.slack.handlers.usage import UsageDesk
from bot.slack.session_status import Sessions
from bot.slack.thread_history import ThreadReader


@dataclass(frozen=True, slots=True)
class Desks:
    """Words, clicks, secrets, results: each kind of wish has its desk."""

    words: Desk
    starting: StartDesk
    buttons: ButtonsDesk
    secrets: SecretsDesk
    home: HomeDesk
    results: ResultsDesk
    publish: PublishDesk
    models: ModelDesk
    sessions: Sessions

    def changed(self, agent: Agent) -> None:
        """An agent was stored."""
        self.home.changed(agent)
        self.sessions.changed(agent)

    def loops(self) -> Mapping[str, Loop]:
        """What shows changes outside of threads as long as the bot runs, by name."""
        return {"home tabs": self.home.serve, "session status": self.sessions.serve}


def open_desks(  # noqa: PLR0913  (each desk needs something of its own)
    service: AgentService,
    gate: Gate,
    keyring: Keyring,
    usage: UsageReads,
    world: World,
    client: AsyncWebClient,
    *,
    publishing: Publishing,
    workspace_url: str,
) -> Desks:
    """The desks in front of one service."""
    aside = Aside(client, service.hide)
    secrets = SecretsDesk(keyring, gate, client)
    spending = UsageDesk(usage, gate, client, world.settings, world.clock)
    doctor = DoctorDesk(gate, world.examine)
    looking = LookDesk(service, gate, spending, doctor, publishing, workspace_url)
    settings = world.settings
    max_steps = max(settings.agent_max_steps, settings.agent_max_steps_limit)
    starting = StartDesk(
        service, gate, client, aside, ThreadReader(client, gate.people), max_steps=max_steps
    )
    words = Desk(service, gate, secrets, client, aside, looking, starting)
    results = ResultsDesk(service, gate, client, aside)
    buttons = ButtonsDesk(service, gate, aside)
    publish = PublishDesk(buttons, publishing, world, client, workspace_url)
    home = HomeDesk(service, gate, client, workspace_url=workspace_url)
    models = ModelDesk(service, gate, client, service.hide)
    sessions = Sessions(client, service.control.waits, enabled=settings.slack_agent_sessions)
    return Desks(words, starting, buttons, secrets, home, results, publish, models, sessions)
