"""What to tell people about an agent that ended: plain words and the next step."""

from bot.agents.run import ContainerGone
from bot.domain.agent import Agent, AgentStatus
from bot.errors import BridgeRefused, UserError
from bridge.protocol import ErrorCode

_CLONE_ERRORS = frozenset(
    {
        ErrorCode.REPOSITORY_NOT_FOUND,
        ErrorCode.BRANCH_NOT_FOUND,
        ErrorCode.CLONE_FAILED,
        ErrorCode.CLONE_TIMEOUT,
        ErrorCode.NO_SPACE,
    }
)


def why_not(agent: Agent) -> str:
    """Why an agent that is over takes nothing more."""
    again = f"`/agent {agent.repo} task…` starts a new one."
    match agent.status:
        case AgentStatus.STOPPED:
            return f"This agent was stopped. {again}"
        case AgentStatus.LOST:
            return f"The container of this agent is gone. {again}"
        case _:
            return f"This agent has ended. {again}"


def explain(agent: Agent, error: Exception) -> str:
    """Why the run of an agent ended by this error."""
    match error:
        case UserError(user_text=text):
            return text
        case BridgeRefused() if error.error.code in _CLONE_ERRORS:
            return f"Could not clone `{agent.repo}`: {error.error.message} Nothing was changed."
        case ContainerGone():
            return (
                "The container of this agent is gone. What was not pushed is lost; "
                "the steps above stay readable."
            )
        case _:
            return f"Something went wrong inside Threadsmith; the log has it under `{agent.id}`."
