"""Tells admins how the deployment is."""

from bot.agents.access.authorization import Authorization
from bot.agents.health_checks import Examination
from bot.domain.policy import Action
from bot.slack.ephemeral import Tell
from bot.slack.views.report import report_text


class DoctorHandlers:
    """The report is private, and for admins: it names hosts, folders and ports."""

    def __init__(self, gate: Authorization, examine: Examination) -> None:
        self._gate = gate
        self._examine = examine

    async def show(self, user: str, team: str, channel: str, tell: Tell) -> None:
        """Examine, the channel of the question too; raises NotAllowed."""
        await self._gate.check(Action.ADMINISTER, user, team, channel)
        await tell(report_text(await self._examine([channel])))
