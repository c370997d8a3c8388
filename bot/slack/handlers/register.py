"""Puts the handlers in front of one service together, and attaches their listeners."""

from collections.abc import Mapping
from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.access.secrets import Secrets
from bot.agents.context import Dependencies
from bot.agents.lifecycle.background_loops import Loop
from bot.agents.publishing import Publishing
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.slack.ephemeral import EphemeralReplies
from bot.slack.handlers import (
    buttons,
    commands,
    home,
    models,
    publish,
    results,
    secrets,
    start,
    threads,
)
from bot.slack.handlers.look import LookHandlers
from bot.slack.handlers.usage import UsageHandlers
from bot.slack.inbox import Inbox
from bot.slack.session_status import SessionStatusUpdater
from bot.slack.thread_history import ThreadHistory


@dataclass(frozen=True, slots=True)
class Handlers:
    """Holds the handlers that the process calls itself; listeners call all others."""

    threads: threads.ThreadHandlers
    buttons: buttons.ButtonHandlers
    home: home.HomeHandlers
    sessions: SessionStatusUpdater

    def note_change(self, agent: Agent) -> None:
        """Notes that an agent was stored."""
        self.home.note_change(agent)
        self.sessions.note_change(agent)

    def loops(self) -> Mapping[str, Loop]:
        """Returns the loops that show changes outside of threads, by name."""
        return {"home tabs": self.home.serve, "session status": self.sessions.serve}


def register_handlers(  # noqa: PLR0913  (each handler needs something of its own)
    app: AsyncApp,
    inbox: Inbox,
    service: AgentService,
    authorization: Authorization,
    dependencies: Dependencies,
    client: AsyncWebClient,
    *,
    stored_secrets: Secrets,
    publishing: Publishing,
    workspace_url: str,
) -> Handlers:
    """Makes every handler and attaches it; what the manifest subscribes to has a listener here."""
    settings = dependencies.settings
    replies = EphemeralReplies(client, service.hide)

    button_handlers = buttons.ButtonHandlers(service, authorization, client, replies)
    buttons.register(app, inbox, button_handlers, settings.slack_stop_reaction)

    publish_handlers = publish.PublishHandlers(
        button_handlers, publishing, dependencies, client, workspace_url
    )
    publish.register(app, inbox, publish_handlers)

    modals = results.AgentModals(authorization, client, service.hide)
    results.register(app, inbox, results.ResultHandlers(service, modals, client, replies))
    model_handlers = models.ModelHandlers(service, authorization, client, modals, service.hide)
    models.register(app, inbox, model_handlers)

    secret_handlers = secrets.SecretHandlers(stored_secrets, authorization, client)
    secrets.register(app, inbox, secret_handlers)

    home_handlers = home.HomeHandlers(
        service, authorization, client, button_handlers, workspace_url=workspace_url
    )
    home.register(app, inbox, home_handlers)

    start_handlers = start.StartHandlers(
        service,
        authorization,
        client,
        replies,
        ThreadHistory(client, authorization.people),
        max_steps=max(settings.agent_max_steps, settings.agent_max_steps_limit),
    )
    start.register(app, inbox, start_handlers)

    command_handlers = commands.CommandHandlers(
        service,
        authorization,
        replies,
        starts=start_handlers,
        buttons=button_handlers,
        look=LookHandlers(service, authorization, dependencies.examine, publishing, workspace_url),
        usage=UsageHandlers(
            dependencies.store.usage_rows, authorization, client, settings, dependencies.clock
        ),
        secrets=secret_handlers,
    )
    commands.register(app, inbox, command_handlers)

    thread_handlers = threads.ThreadHandlers(
        service, authorization, replies, command_handlers.run_mention
    )
    threads.register(app, inbox, thread_handlers)

    sessions = SessionStatusUpdater(
        client, service.buttons.waits_for_person, enabled=settings.slack_agent_sessions
    )
    return Handlers(thread_handlers, button_handlers, home_handlers, sessions)
