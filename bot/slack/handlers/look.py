"""Answers what people ask about agents, models and the deployment."""

from bot.agents.access.authorization import Authorization
from bot.agents.health_checks import Examination
from bot.agents.publishing import Publishing
from bot.agents.service import AgentService, Origin
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.errors import UserError
from bot.slack.ephemeral import Tell
from bot.slack.views.lists import agent_line, list_text, offers_text
from bot.slack.views.notices import pull_state, report_text


class LookHandlers:
    """Answers privately and changes nothing; each method raises UserError."""

    def __init__(
        self,
        service: AgentService,
        authorization: Authorization,
        examine: Examination,
        publishing: Publishing,
        workspace_url: str,
    ) -> None:
        self._service = service
        self._authorization = authorization
        self._examine = examine
        self._publishing = publishing
        self._workspace_url = workspace_url

    async def list_agents(self, origin: Origin, tell: Tell) -> None:
        """Tells which agents run in the channel."""
        await self._authorization.require(Action.READ, origin.user, origin.team, origin.channel)
        agents = await self._service.store.agents(alive=True, channel=origin.channel)
        await tell(list_text(agents, self._workspace_url))

    async def list_models(self, search: str, tell: Tell) -> None:
        """Tells the models that can be used, with price and context."""
        await tell(offers_text(await self._service.gateway.models(), search))

    async def show_status(self, agent_id: str | None, origin: Origin, tell: Tell) -> None:
        """Tells what an agent does and has changed, and the state of its pull request."""
        await self._authorization.require(Action.READ, origin.user, origin.team, origin.channel)
        agent = await self.agent_named(agent_id, origin, Action.READ)
        diff = await self._service.diff(agent) if agent.alive else None
        pull = await self._publishing.state(agent)
        line = agent_line(agent, self._workspace_url, diff)
        await tell(f"{line} · {pull_state(pull)}" if pull else line)

    async def show_health(self, origin: Origin, tell: Tell) -> None:
        """Examines the deployment and this channel. For admins: it names hosts, folders, ports."""
        user, team, channel = origin.user, origin.team, origin.channel
        await self._authorization.check(Action.ADMINISTER, user, team, channel)
        await tell(report_text(await self._examine([channel])))

    async def agent_named(self, agent_id: str | None, origin: Origin, action: Action) -> Agent:
        """Returns the agent with this id that the person may see, or the channel's only one."""
        if agent_id is not None:
            return await self._authorization.agent_for(
                action, agent_id, origin.user, channel=origin.channel, team=origin.team
            )
        agents = await self._service.store.agents(alive=True, channel=origin.channel)
        if len(agents) == 1:
            return agents[0]
        if not agents:
            raise UserError("No agent runs in this channel. `/agent help` shows how to start one.")
        raise UserError(f"Which one? {list_text(agents, self._workspace_url)}")
