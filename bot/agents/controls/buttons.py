"""How people control an agent beside messages: pause, go on, undo, mute."""

from bot.agents.context import Dependencies
from bot.agents.lifecycle.failures import why_not
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.ports.store import (
    Transaction,
)
from bot.domain.agent import Agent, AgentStatus
from bot.domain.container import (
    BridgeAddress,
)
from bot.domain.message import Message, MessageKind, message_id
from bot.domain.policy import (
    Audit,
)
from bot.errors import BridgeRefused, UserError
from bridge.protocol import (
    QuestionAnswered,
    QuestionAsked,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskUndone,
)

_WAITS = (QuestionAsked, TaskPaused)
_WAITS_NO_MORE = (QuestionAnswered, TaskResumed, TaskFinished)
_NOT_AT_WORK = "No task is at work here. Reply in the thread to give it one."
_STARTING = "The agent is still starting. Stop it, or wait a moment."
_GOES_ON = "This task goes on already."
_OVER = "This task has ended. Reply in the thread to go on."
PAUSES = "It pauses before its next step; a reply or Resume lets it go on."


class TaskControl:
    """Pausing asks the bridge at once. What needs an awake container is stored and handed over,
    so that it wakes one that sleeps."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet

    async def pause(self, agent_id: str, task_id: str | None = None) -> str:
        """Let the task at work wait before its next model call; a sentence for the person.

        Raises UserError when it is not at work any more.
        """
        agent = await self._deps.store.agent(agent_id)
        if agent is None or not agent.alive:
            raise UserError(why_not(agent) if agent else "There is no such agent any more.")
        if agent.status is not AgentStatus.WORKING or task_id not in (None, agent.task_id):
            raise UserError(_STARTING if agent.status is AgentStatus.STARTING else _NOT_AT_WORK)
        address = await self._address(agent)
        if address is None:
            raise UserError(_STARTING)
        try:
            await self._deps.bridge.pause(address, str(agent.task_id))
        except BridgeRefused as error:
            raise UserError(_NOT_AT_WORK, str(error)) from error
        return PAUSES

    async def waits(self, agent: Agent) -> bool:
        """Whether its newest task is not over, and waits for a person."""
        newest = await self._deps.store.events(
            agent.id, agent.task_id, kinds=(*_WAITS, *_WAITS_NO_MORE), newest=1
        )
        return any(isinstance(event, _WAITS) for event in newest)

    async def check_open(self, agent: Agent, task_id: str) -> None:
        """Raise UserError when this task has ended; one that only waits has not."""
        if agent.task_id not in (None, task_id):
            raise UserError(_OVER)
        if await self._deps.store.newest_event(agent.id, TaskFinished, task_id):
            raise UserError(_OVER)

    async def resume(self, agent_id: str, task_id: str, user: str) -> None:
        """Let a paused task go on; pressing twice does so once. Raises UserError."""
        async with self._deps.store.transaction() as tx:
            agent = await self._alive(tx, agent_id)
            paused = 0
            pauses = (TaskPaused, TaskResumed, TaskFinished)
            for event in await self._deps.store.events(agent_id, task_id, kinds=pauses):
                match event:
                    case TaskPaused():
                        paused = event.seq
                    case TaskResumed():
                        paused = 0
                    case TaskFinished():
                        raise UserError(_OVER)
                    case _:
                        pass
            if not paused:
                raise UserError(_GOES_ON)
            await self._hand_over(tx, agent, MessageKind.RESUME, str(paused), task_id, user)
            agent = await self._fleet.places.ask(tx, agent)
        self._fleet.wake(agent)

    async def undo(self, agent_id: str, task_id: str, user: str) -> None:
        """Put the files back to before the last task. Raises UserError when that cannot be."""
        async with self._deps.store.transaction() as tx:
            agent = await self._alive(tx, agent_id)
            ends = (TaskFinished, TaskUndone)
            events = await self._deps.store.events(agent_id, kinds=ends)
            undone = {event.undone_task_id for event in events if isinstance(event, TaskUndone)}
            ended = [str(event.task_id) for event in events if isinstance(event, TaskFinished)]
            left = [one for one in ended if one not in undone]
            if task_id in undone:
                raise UserError("This task is undone already.")
            if agent.status in {AgentStatus.WORKING, AgentStatus.STARTING}:
                raise UserError("The agent is at work. Interrupt it first, then undo.")
            if left[-1:] != [task_id]:
                raise UserError("Another task has worked since. Only the last one can be undone.")
            wish = str(agent.last_seq)  # one that was refused may be tried again
            if not await self._hand_over(tx, agent, MessageKind.UNDO, wish, task_id, user):
                raise UserError("This task is being undone already.")
            entry = Audit(self._deps.clock(), user, "agent.undo", agent.id, task_id)
            await tx.add_audit(entry)
            agent = await self._fleet.places.ask(tx, agent)
        self._fleet.wake(agent)

    async def mute(self, agent: Agent, user: str, key: str, *, on: bool) -> None:
        """Let the thread's plain replies be between people, or for the agent again."""
        text = (
            f"🔇 <@{user}> muted this thread: replies are between you now. Mention me to say "
            "something to the agent; `unmute` ends it."
            if on
            else f"🔊 <@{user}> unmuted this thread: replies are for the agent again."
        )
        async with self._deps.store.transaction() as tx:
            name = _muted(agent)
            await tx.set_channel(agent.team, agent.channel, name, user if on else "")
            await tx.enqueue(agent.id, self._deps.presenter.notice(agent, f"mute:{key}", text))

    async def is_muted(self, agent: Agent) -> bool:
        """Whether plain replies in the agent's thread are not for it."""
        settings = await self._deps.store.channel_settings(agent.team, agent.channel)
        return _muted(agent) in settings

    async def _alive(self, tx: Transaction, agent_id: str) -> Agent:
        agent = await tx.agent(agent_id)
        if agent is None or not agent.alive:
            raise UserError(why_not(agent) if agent else "There is no such agent any more.")
        return agent

    async def _hand_over(
        self, tx: Transaction, agent: Agent, kind: MessageKind, name: str, task_id: str, user: str
    ) -> bool:
        """Store a wish for the courier, once."""
        wish_id = message_id(kind, name)
        if not await tx.claim_message(agent.team, agent.channel, f"{agent.id}:{wish_id}"):
            return False
        await tx.add_message(Message(wish_id, agent.id, user, wish_id, task_id, kind=kind))
        return True

    async def _address(self, agent: Agent) -> BridgeAddress | None:
        container = await self._deps.runtime.find(agent.id)
        if container is None or container.endpoint is None:
            return None
        return self._deps.address(agent.id, container.endpoint)


def _muted(agent: Agent) -> str:
    """The name among the channel's settings under which a thread is muted."""
    return f"muted:{agent.thread_ts}"
