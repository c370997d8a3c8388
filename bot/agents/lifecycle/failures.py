"""Explains to people why an agent ended, with the next step."""

from collections.abc import Sequence

from bot.domain.agent import Agent, AgentStatus
from bot.domain.quoting import code, line
from bot.domain.saved_state import SavedState
from bot.errors import BridgeRefused, ContainerEnded, ContainerGone, UserError
from bridge.protocol import ErrorCode, FilesChanged

AGAIN = 'Reply "restart" to go on from what was saved.'
_KILLED = 137
_SHOWN_FILES = 8
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
    """Says why an agent that is over takes nothing more, and how to go on."""
    match agent.status:
        case AgentStatus.STOPPED:
            return f"This agent was stopped. {AGAIN}"
        case AgentStatus.LOST:
            return f"The container of this agent is gone. {AGAIN}"
        case _:
            return f"This agent has ended. {AGAIN}"


def require_alive(agent: Agent | None) -> Agent:
    """Returns the agent when it is alive; raises UserError with the next step when it is not."""
    if agent is None:
        raise UserError("There is no such agent any more.")
    if not agent.alive:
        raise UserError(why_not(agent))
    return agent


def how_it_ended(ended: ContainerEnded) -> str:
    """Says how a container ended that nobody had stopped."""
    if ended.exit_code is None:
        return "The container was not started"
    if ended.exit_code == _KILLED:
        how = "ran out of memory" if ended.out_of_memory else "was killed"
        return f"The container {how}"
    return f"The container ended (exit {ended.exit_code})"


def lost_files(changed: FilesChanged | None, saved: SavedState | None) -> tuple[str, ...]:
    """Returns the files of the newest change, when it came after the state that the host kept."""
    since = saved.last_seq if saved else 0
    if changed is None or changed.seq <= since:
        return ()
    return tuple(change.path for change in changed.files)


def explain_loss(*, has_files: bool, lost: Sequence[str]) -> str:
    """Says that a container is gone, which files are lost with it, and how to go on."""
    if has_files:
        return f"The container of this agent is gone, its files are still there. {AGAIN}"
    if not lost:
        return f"The container of this agent is gone. Nothing was lost. {AGAIN}"
    names = ", ".join(code(path) for path in lost[:_SHOWN_FILES])
    more = f" and {len(lost) - _SHOWN_FILES} more" if len(lost) > _SHOWN_FILES else ""
    return (
        "The container of this agent is gone. What changed since the end of the last task may be "
        f"lost: {names}{more}. {AGAIN}"
    )


def explain(agent: Agent, error: Exception) -> str:
    """Says why the run of an agent ended by this error."""
    match error:
        case UserError(user_text=text):
            return f"{text} {AGAIN}"
        case BridgeRefused() if error.error.code in _CLONE_ERRORS:
            why = line(error.error.message, 300)
            return f"Could not clone `{agent.repo}`: {why} Nothing was changed."
        case ContainerEnded():
            return f"{how_it_ended(error)} twice within a minute, so it stays down. {AGAIN}"
        case ContainerGone():
            return explain_loss(has_files=False, lost=())
        case _:
            return (
                f"Something went wrong inside Threadsmith; the log has it under `{agent.id}`. "
                f"{AGAIN}"
            )
