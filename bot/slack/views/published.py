"""What is said about an agent's branch and pull request."""

from bot.agents.publishing import Published
from bot.domain.agent import Agent
from bot.domain.pull_request import PullRequest
from bot.domain.quoting import code, line


def pushed_text(agent: Agent, published: Published, user: str) -> str:
    """The branch is at the host, and perhaps a pull request."""
    branch = f"<{published.branch_url}|{agent.target_branch}>"
    pull = published.pull
    if pull is not None:
        how = "opened by" if published.is_new else "has the newest commits of the agent, by"
        return f"🔀 *Pull request {pull_link(pull)}* {how} <@{user}>: {line(pull.title, 200)}"
    said = f"⬆ The branch {branch} is at the git host, pushed by <@{user}>."
    if published.compare_url:
        link = f"<{published.compare_url}|Open the pull request by hand>."
        return f"{said} {published.why_not} {link}"
    return said


def pull_link(pull: PullRequest) -> str:
    """`#12`, as a link."""
    return f"<{pull.url}|#{pull.number}>"


def pull_state(pull: PullRequest) -> str:
    """What became of it, in a few words."""
    return f"pull request {pull_link(pull)} {pull.state.value}: {code(pull.title, 100)}"
