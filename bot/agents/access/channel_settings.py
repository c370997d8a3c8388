"""Stores the settings of channels and people: rules, defaults, verbosity."""

import asyncio
from collections.abc import Mapping, Sequence

from bot.agents.context import Dependencies
from bot.domain.agent import RepoRef
from bot.domain.policy import (
    Audit,
    ChannelRules,
    HouseRules,
    Who,
    checked_patterns,
    place_refusal,
)
from bot.domain.preferences import Preferences
from bot.domain.settings_command import SetMine, SetRule
from bot.errors import NotAllowed
from bridge.protocol import Approvals

_WHO = {
    "start": {Who.ANYONE: "anyone in the channel", Who.OWNER: "admins"},
    "steer": {Who.ANYONE: "anyone in the channel", Who.OWNER: "who started it, and admins"},
    "approve": {Who.ANYONE: "anyone in the channel", Who.OWNER: "who started it, and admins"},
    "stop": {Who.ANYONE: "anyone in the channel", Who.OWNER: "who started it, and admins"},
}


_APPROVALS = {
    Approvals.ASK: "a command outside the allow-list waits until somebody approves it",
    Approvals.REFUSE: "commands outside the allow-list are refused",
}


class ChannelSettings:
    """Reads and changes the settings; `Authorization` checks who may change them.

    A person's own are stored as those of the place that their id names: no channel has such an id.
    """

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._house = HouseRules.of(deps.settings)

    async def set(self, rule: SetRule, actor: str, team: str, channel: str) -> None:
        """Stores one setting of a channel; raises UserError for a value that cannot be used."""
        value = rule.value
        if rule.name == "repositories":
            value = " ".join(checked_patterns(value))
        await self._check(rule.name, value, channel, await self._stored(team, channel))
        await self._store(team, channel, rule.name, value, actor, "channel.set")

    async def set_mine(self, mine: SetMine, user: str, team: str) -> None:
        """Stores one setting of a person; raises UserError for a value that cannot be used."""
        await self._check(mine.name, mine.value, "", {})
        await self._store(team, user, mine.name, mine.value, user, "person.set")

    async def preferences(self, team: str, channel: str, user: str) -> Preferences:
        """Returns the defaults: the channel's first, then the person's own."""
        return Preferences.of(
            *await asyncio.gather(self._stored(team, channel), self._stored(team, user))
        )

    async def is_new(self, user: str, team: str) -> bool:
        """Checks whether this person is seen for the first time; True once."""
        if "seen" in await self._stored(team, user):
            return False
        async with self._deps.store.transaction() as tx:
            await tx.set_channel(team, user, "seen", "yes")
        return True

    @property
    def default_model(self) -> str:
        """Returns the model of whoever names none and has none set."""
        return self._deps.settings.agent_model

    async def mine(self, team: str, user: str) -> Preferences:
        """Returns a person's own defaults."""
        return Preferences.of(await self._stored(team, user))

    async def text_of_mine(self, team: str, user: str) -> str:
        """Returns a person's own defaults as mrkdwn."""
        mine = Preferences.of(await self._stored(team, user))
        lines = [
            f"• repository: {f'`{mine.repo}`' if mine.repo else 'none'}",
            f"• model: `{mine.model or self._deps.settings.agent_model}`",
        ]
        tail = "They count where a channel has none. `/agent me repo owner/name` changes one."
        return "\n".join(["*Your defaults*", *lines, tail])

    async def text(self, team: str, channel: str) -> str:
        """Returns the settings of a channel as mrkdwn."""
        stored = await self._stored(team, channel)
        rules, here = ChannelRules.of(stored), Preferences.of(stored)
        model = here.model or self._deps.settings.agent_model
        lines = [
            f"• start: {_WHO['start'][rules.start]}",
            f"• steer: {_WHO['steer'][rules.steer]}",
            f"• stop: {_WHO['stop'][rules.stop]}",
            f"• approvals: {_APPROVALS[rules.approvals]}",
            f"• approve: {_WHO['approve'][rules.approve]}",
            f"• repo, where none is named: {f'`{here.repo}`' if here.repo else 'none'}",
            f"• model, where none is named: `{model}`",
            f"• verbosity: {here.verbosity}",
        ]
        for patterns, whose in (
            (self._house.repositories, "everywhere"),
            (rules.repositories, "in this channel"),
        ):
            if patterns:
                shown = ", ".join(f"`{pattern}`" for pattern in patterns)
                lines.append(f"• repositories allowed {whose}: {shown}")
        return "\n".join(["*Rules of this channel*", *lines])

    async def allowed_repositories(
        self, names: Sequence[str], team: str, channel: str
    ) -> Sequence[str]:
        """Returns those of the repositories on which an agent may be started in this channel."""
        rules = ChannelRules.of(await self._stored(team, channel))
        return [
            name
            for name in names
            if not place_refusal(RepoRef.parse(name), channel, self._house, rules)
        ]

    async def _check(self, name: str, value: str, channel: str, stored: Mapping[str, str]) -> None:
        if name == "repo" and value:
            repo = RepoRef.parse(value)
            here = channel or next(iter(self._house.channels), "")
            why_not = place_refusal(repo, here, self._house, ChannelRules.of(stored))
            if why_not:
                raise NotAllowed(why_not)
            await self._deps.gateway.check_repository(repo, None)
        elif name == "model" and value:
            await self._deps.gateway.check_model(value)

    async def _stored(self, team: str, place: str) -> Mapping[str, str]:
        return await self._deps.store.channel_settings(team, place)

    async def _store(
        self, team: str, place: str, name: str, value: str, actor: str, action: str
    ) -> None:
        now, subject = self._deps.clock(), f"{place} {name}={value or 'default'}"
        async with self._deps.store.transaction() as tx:
            await tx.set_channel(team, place, name, value)
            await tx.add_audit(Audit(now, actor, action, subject, "done"))
