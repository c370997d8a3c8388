"""The line about what tools wanted from the network and did not get."""

from collections.abc import Sequence

from bot.domain.egress import Denial, DenialReason
from bot.domain.quoting import code

SHOWN_HOSTS = 5


def denied_line(command: str, hosts: Sequence[Denial]) -> str:
    """One line of mrkdwn, whatever the length of the list."""
    shown = ", ".join(code(one.host) for one in hosts[:SHOWN_HOSTS])
    if len(hosts) > SHOWN_HOSTS:
        shown += f" and {len(hosts) - SHOWN_HOSTS} more"
    who = code(command) if command else "A tool"
    return f"🚧 {who} was refused {shown}: {_why(hosts)}"


def _why(hosts: Sequence[Denial]) -> str:
    reasons = {one.reason for one in hosts}
    if DenialReason.NOT_ON_LIST in reasons:
        return "not on the allow-list. An admin can add names to `EGRESS_ALLOW`."
    if DenialReason.PRIVATE_ADDRESS in reasons:
        return "a private address. An admin can open networks by `EGRESS_PRIVATE_NETWORKS`."
    return "only the ports 80 and 443 are open."
