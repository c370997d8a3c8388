"""Tells admins how the deployment is."""

from bot.agents.examination import Examination
from bot.agents.gate import Gate
from bot.domain.policy import Action
from bot.slack.aside import Tell
from bot.slack.render.report import report_text


class DoctorDesk:
    """The report is private, and for admins: it names hosts, folders and ports."""

    def __init__(self, gate: Gate, examine: Examination) -> None:
        self._gate = gate
        self._examine = examine

    async def show(self, user: str, team: str, channel: str, tell: Tell) -> None:
        """Examine, the channel of the question too; raises NotAllowed."""
        await self._gate.check(Action.ADMINISTER, user, team, channel)
        await tell(report_text(await self._examine([channel])))
