"""Answers what people ask about agents, models, money and the deployment."""

from typing import assert_never

from bot.agents.access.authorization import Authorization
from bot.agents.publishing import Publishing
from bot.agents.service import AgentService, Origin
from bot.domain.agent import Agent
from bot.domain.commands import ListAgents, ListModels, ShowStatus
from bot.domain.doctor_command import RunDoctor
from bot.domain.policy import Action
from bot.domain.quoting import code
from bot.domain.usage_command import ShowUsage
from bot.errors import UserError
from bot.slack.ephemeral import Tell
from bot.slack.handlers.doctor import DoctorHandlers
from bot.slack.handlers.usage import UsageHandlers
from bot.slack.views.lists import agent_line, list_text, offers_text
from bot.slack.views.published import pull_state

Look = ListAgents | ListModels | ShowStatus | ShowUsage | RunDoctor


class LookHandlers:
    """Every answer is private and changes nothing."""

    def __init__(
        self,
        service: AgentService,
        gate: Authorization,
        usage: UsageHandlers,
        doctor: DoctorHandlers,
        publishing: Publishing,
        workspace_url: str,
    ) -> None:
        self._service = service
        self._gate = gate
        self._usage = usage
        self._doctor = doctor
        self._publishing = publishing
        self._workspace_url = workspace_url

    async def show(self, look: Look, origin: Origin, tell: Tell) -> None:
        """Answer; raises UserError."""
        user, team, channel = origin.user, origin.team, origin.channel
        match look:
            case ListAgents():
                await self._gate.require(Action.READ, user, team, channel)
                agents = await self._service.running(channel)
                await tell(list_text(agents, self._workspace_url))
            case ListModels(search=search):
                await tell(offers_text(await self._service.models(), search))
            case ShowStatus(agent_id=agent_id):
                await self._gate.require(Action.READ, user, team, channel)
                agent = await self.named(agent_id, origin)
                diff = await self._service.diff(agent) if agent.alive else None
                pull = await self._publishing.state(agent)
                said = agent_line(agent, self._workspace_url, diff)
                await tell(f"{said} · {pull_state(pull)}" if pull else said)
            case ShowUsage():
                await self._usage.show(look, user, team, channel, tell)
            case RunDoctor():
                await self._doctor.show(user, team, channel, tell)
            case _:
                assert_never(look)

    async def named(self, agent_id: str | None, origin: Origin) -> Agent:
        """The agent with this id, or the only one of the channel; only of this workspace."""
        if agent_id is not None:
            agent = await self._service.find(agent_id)
            if agent.team != origin.team:
                raise UserError(
                    f"There is no agent {code(agent_id, 20)}. `/agent list` shows them."
                )
            return agent
        agents = await self._service.running(origin.channel)
        if len(agents) == 1:
            return agents[0]
        if not agents:
            raise UserError("No agent runs in this channel. `/agent help` shows how to start one.")
        raise UserError(f"Which one? {list_text(agents, self._workspace_url)}")
