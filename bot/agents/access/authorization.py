"""Checks a person's request against the rules, and records each decision."""

import logging

from bot.agents.context import Dependencies
from bot.agents.ports.people import Directory
from bot.domain.agent import Agent
from bot.domain.policy import (
    NOBODY_KNOWN,
    Action,
    Audit,
    ChannelRules,
    HouseRules,
    Person,
    is_admin,
    refusal,
)
from bot.domain.quoting import code
from bot.errors import NotAllowed, StoreUnavailable, UserError

logger = logging.getLogger(__name__)


def unknown_agent(agent_id: str, log_text: str = "") -> UserError:
    """Returns the error of an id that no agent has, or none that this person may know of."""
    return UserError(f"There is no agent {code(agent_id, 20)}. `/agent list` shows them.", log_text)


class Authorization:
    """Decides each request once. Raises NotAllowed with a sentence for the person."""

    def __init__(self, deps: Dependencies, people: Directory) -> None:
        self._deps = deps
        self.people = people
        self._house = HouseRules.of(deps.settings)

    async def check(
        self, action: Action, user: str, team: str, channel: str, *, agent: Agent | None = None
    ) -> Person:
        """Returns the person when they may; records the decision either way."""
        person = await self.require(action, user, team, channel, agent=agent)
        await self.note(action, user, agent.id if agent else channel)
        return person

    async def require(
        self, action: Action, user: str, team: str, channel: str, *, agent: Agent | None = None
    ) -> Person:
        """Returns the person when they may; records a refusal. The caller records what it does."""
        person, why_not = await self.judge(action, user, team, channel, agent=agent)
        if why_not:
            await self.note(action, user, agent.id if agent else channel, why_not)
            raise NotAllowed(why_not)
        return person

    async def judge(
        self, action: Action, user: str, team: str, channel: str, *, agent: Agent | None = None
    ) -> tuple[Person, str]:
        """Returns the person, and why they may not ("" when they may); records nothing."""
        person = await self.people.person(user)
        if person is None:
            # Admins of the settings are known without Slack, and stopping is always safe.
            known = user in self._house.admins or action in {Action.STOP, Action.INTERRUPT}
            person = Person(user)
            if not known:
                return person, NOBODY_KNOWN
        owner = agent.started_by if agent else ""
        return person, refusal(
            action, person, self._house, await self._rules(action, team, channel), owner
        )

    async def agent_for(
        self, action: Action, agent_id: str, user: str, *, channel: str, team: str = ""
    ) -> Agent:
        """Returns the agent with this id to who may see the agent's channel.

        For everyone else the id is as unknown as one that nobody has. `channel` is where the
        person acts: "" in a modal and in the Home tab, which are in no channel.
        """
        agent = await self._deps.store.agent(agent_id)
        if agent is None:
            raise unknown_agent(agent_id)
        if (team and agent.team != team) or not await self._may_see(agent, user, channel):
            why_not = "may not see the agent's channel"
            await self.note(action, user, agent.id, why_not)
            raise unknown_agent(agent_id, f"{user}: {agent.id}: {why_not}")
        return agent

    async def _may_see(self, agent: Agent, user: str, channel: str) -> bool:
        if channel == agent.channel:
            # The pages of a modal that opens there come without a channel.
            self.people.note_presence(user, channel)
            return True
        if user == agent.started_by or user in self._house.admins:
            return True
        return await self.people.may_see_channel(user, agent.channel)

    async def is_admin(self, user: str) -> bool:
        """Checks whether this person may change what others use."""
        person = await self.people.person(user)
        return is_admin(person or Person(user), self._house)

    async def note(self, action: str, user: str, subject: str, why_not: str = "") -> None:
        """Records a decision; a database that takes nothing stops nobody."""
        outcome = f"refused: {why_not}" if why_not else "allowed"
        entry = Audit(self._deps.clock(), user, action, subject, outcome)
        try:
            async with self._deps.store.transaction() as tx:
                await tx.add_audit(entry)
        except StoreUnavailable as error:
            logger.warning("not recorded: %s by %s: %s (%s)", action, user, outcome, error)

    async def _rules(self, action: Action, team: str, channel: str) -> ChannelRules:
        try:
            return ChannelRules.of(await self._deps.store.channel_settings(team, channel))
        except StoreUnavailable:
            if action is not Action.STOP:
                raise
            return ChannelRules()
