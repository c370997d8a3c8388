"""Asks the rules before a person's wish is done, and records what was decided."""

import logging

from bot.agents.context import Dependencies
from bot.agents.ports.people import (
    Directory,
)
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
from bot.errors import NotAllowed, StoreUnavailable

logger = logging.getLogger(__name__)


class Authorization:
    """One decision for each wish. Raises NotAllowed with a sentence for the person."""

    def __init__(self, deps: Dependencies, people: Directory) -> None:
        self._deps = deps
        self.people = people
        self._house = HouseRules.of(deps.settings)

    async def check(
        self, action: Action, user: str, team: str, channel: str, *, agent: Agent | None = None
    ) -> Person:
        """Who it is, when they may; the decision is in the record either way."""
        person = await self.require(action, user, team, channel, agent=agent)
        await self.note(action, user, agent.id if agent else channel)
        return person

    async def require(
        self, action: Action, user: str, team: str, channel: str, *, agent: Agent | None = None
    ) -> Person:
        """As `check`; but what is allowed is recorded by the one who does it."""
        person, why_not = await self.judge(action, user, team, channel, agent=agent)
        if why_not:
            await self.note(action, user, agent.id if agent else channel, why_not)
            raise NotAllowed(why_not)
        return person

    async def judge(
        self, action: Action, user: str, team: str, channel: str, *, agent: Agent | None = None
    ) -> tuple[Person, str]:
        """Who it is, and why they may not ("" when they may); nothing is recorded."""
        person = await self.people.person(user)
        if person is None:
            # Who is named in the settings needs no word from Slack, and stopping is always safe.
            known = user in self._house.admins or action in {Action.STOP, Action.INTERRUPT}
            person = Person(user)
            if not known:
                return person, NOBODY_KNOWN
        owner = agent.started_by if agent else ""
        return person, refusal(
            action, person, self._house, await self._rules(action, team, channel), owner
        )

    async def is_admin(self, user: str) -> bool:
        """Whether this person may change what others use."""
        person = await self.people.person(user)
        return is_admin(person or Person(user), self._house)

    async def note(self, action: str, user: str, subject: str, why_not: str = "") -> None:
        """Record a decision; a database that takes nothing stops nobody."""
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
