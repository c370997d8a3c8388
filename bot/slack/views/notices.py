"""Writes notices: refused hosts, pushed branches and pull requests, the doctor's report."""

from collections.abc import Sequence

from bot.agents.publishing import Published
from bot.domain.agent import Agent
from bot.domain.egress import Denial, DenialReason
from bot.domain.health import Examined, Verdict
from bot.domain.pull_request import PullRequest
from bot.domain.quoting import code, line

SHOWN_HOSTS = 5
_MARKS = {Verdict.OK: "✓", Verdict.WARN: "⚠", Verdict.FAIL: "✗"}
_MOST_FINDING_CHARS = 400


def denied_line(command: str, hosts: Sequence[Denial]) -> str:
    """Returns one line of mrkdwn about refused hosts, whatever their number."""
    shown = ", ".join(code(denial.host) for denial in hosts[:SHOWN_HOSTS])
    if len(hosts) > SHOWN_HOSTS:
        shown += f" and {len(hosts) - SHOWN_HOSTS} more"
    who = code(command) if command else "A tool"
    return f"🚧 {who} was refused {shown}: {_why_denied(hosts)}"


def _why_denied(hosts: Sequence[Denial]) -> str:
    reasons = {denial.reason for denial in hosts}
    if DenialReason.NOT_ON_LIST in reasons:
        return "not on the allow-list. An admin can add names to `EGRESS_ALLOW`."
    if DenialReason.PRIVATE_ADDRESS in reasons:
        return "a private address. An admin can open networks by `EGRESS_PRIVATE_NETWORKS`."
    return "only the ports 80 and 443 are open."


def pushed_text(agent: Agent, published: Published, user: str) -> str:
    """Returns the sentence about a pushed branch, and its pull request if it has one."""
    branch = f"<{published.branch_url}|{agent.target_branch}>"
    pull = published.pull
    if pull is not None:
        how = "opened by" if published.is_new else "has the newest commits of the agent, by"
        return f"🔀 *Pull request {pull_link(pull)}* {how} <@{user}>: {line(pull.title, 200)}"
    pushed = f"⬆ The branch {branch} is at the git host, pushed by <@{user}>."
    if published.compare_url:
        link = f"<{published.compare_url}|Open the pull request by hand>."
        return f"{pushed} {published.why_not} {link}"
    return pushed


def pull_link(pull: PullRequest) -> str:
    """Returns `#12`, as a link."""
    return f"<{pull.url}|#{pull.number}>"


def pull_state(pull: PullRequest) -> str:
    """Returns the state of a pull request in a few words."""
    return f"pull request {pull_link(pull)} {pull.state.value}: {code(pull.title, 100)}"


def report_text(examined: Sequence[Examined]) -> str:
    """Returns the doctor's report as mrkdwn: what fails first, what is well last."""
    if not examined:
        return "Nothing was examined."
    order = (Verdict.FAIL, Verdict.WARN, Verdict.OK)
    by_verdict = sorted(examined, key=lambda check: order.index(check.finding.verdict))
    fails = sum(check.finding.verdict is Verdict.FAIL for check in examined)
    head = f"*{fails} of {len(examined)} checks failed*" if fails else "*Nothing failed*"
    return "\n".join([head, *(_check_lines(check) for check in by_verdict)])


def _check_lines(check: Examined) -> str:
    finding = check.finding
    head = f"{_MARKS[finding.verdict]} *{check.check}* · {line(finding.state, _MOST_FINDING_CHARS)}"
    if not finding.next_step:
        return head
    return f"{head}\n        → {line(finding.next_step, _MOST_FINDING_CHARS)}"
