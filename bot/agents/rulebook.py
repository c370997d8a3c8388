"""What admins have set for a channel: who may start, steer and stop, and on which repositories."""

from bot.agents.world import World
from bot.domain.audit import Audit
from bot.domain.commands import SetRule
from bot.domain.policy import ChannelRules, HouseRules, Who, checked_patterns
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


class Rulebook:
    """Reads and changes the rules; whether somebody may change them is asked at the gate."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._house = HouseRules.of(world.settings)

    async def set(self, rule: SetRule, actor: str, team: str, channel: str) -> None:
        """Store one rule of a channel; raises InvalidCommand."""
        value = rule.value
        if rule.name == "repositories":
            value = " ".join(checked_patterns(value))
        now = self._world.clock()
        subject = f"{channel} {rule.name}={value or 'any'}"
        async with self._world.store.transaction() as tx:
            await tx.set_channel(team, channel, rule.name, value)
            await tx.add_audit(Audit(now, actor, "channel.set", subject, "done"))

    async def text(self, team: str, channel: str) -> str:
        """The rules of a channel as mrkdwn."""
        rules = ChannelRules.of(await self._world.store.channel_settings(team, channel))
        lines = [
            f"• start: {_WHO['start'][rules.start]}",
            f"• steer: {_WHO['steer'][rules.steer]}",
            f"• stop: {_WHO['stop'][rules.stop]}",
            f"• approvals: {_APPROVALS[rules.approvals]}",
            f"• approve: {_WHO['approve'][rules.approve]}",
        ]
        for patterns, whose in (
            (self._house.repositories, "everywhere"),
            (rules.repositories, "in this channel"),
        ):
            if patterns:
                shown = ", ".join(f"`{pattern}`" for pattern in patterns)
                lines.append(f"• repositories allowed {whose}: {shown}")
        return "\n".join(["*Rules of this channel*", *lines])
