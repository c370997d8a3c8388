"""Handles the buttons of a task: pause, resume, undo, more steps, more budget; and mute."""

from contextlib import AbstractAsyncContextManager

from bot.agents.context import Dependencies
from bot.agents.controls.press import GO_ON, Press, press_button, short_name
from bot.agents.lifecycle.failures import require_alive
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.agent import Agent, AgentStatus
from bot.domain.budget import MAX_BUDGET_NANO, NANO, dollars, nano_of
from bot.domain.message import MessageKind
from bot.domain.policy import Audit
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


class TaskButtons:
    """Pausing asks the bridge at once. The other presses are stored and delivered as messages,
    so that they wake an agent that sleeps."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet

    async def pause_task(self, agent_id: str, task_id: str | None = None) -> str:
        """Pauses the task at work before its next model call; returns a sentence for the person.

        Raises UserError when it is not at work any more.
        """
        agent = require_alive(await self._deps.store.agent(agent_id))
        if agent.status is not AgentStatus.WORKING or task_id not in (None, agent.task_id):
            raise UserError(_STARTING if agent.status is AgentStatus.STARTING else _NOT_AT_WORK)
        address = await self._deps.bridge_of(agent.id)
        if address is None:
            raise UserError(_STARTING)
        try:
            await self._deps.bridge.pause(address, str(agent.task_id))
        except BridgeRefused as error:
            raise UserError(_NOT_AT_WORK, str(error)) from error
        return PAUSES

    async def waits_for_person(self, agent: Agent) -> bool:
        """Checks whether the agent's newest task is not over, and waits for a person."""
        newest = await self._deps.store.events(
            agent.id, agent.task_id, kinds=(*_WAITS, *_WAITS_NO_MORE), newest=1
        )
        return any(isinstance(event, _WAITS) for event in newest)

    async def check_open(self, agent: Agent, task_id: str) -> None:
        """Raises UserError when this task has ended; a task that only waits has not."""
        if agent.task_id not in (None, task_id):
            raise UserError(_OVER)
        if await self._deps.store.newest_event(agent.id, TaskFinished, task_id):
            raise UserError(_OVER)

    async def resume_task(self, agent_id: str, task_id: str, user: str) -> None:
        """Resumes a paused task; pressing twice does so once. Raises UserError."""
        async with self._press(agent_id) as press:
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
            await self._deliver(press, MessageKind.RESUME, str(paused), task_id, user)

    async def undo_task(self, agent_id: str, task_id: str, user: str) -> None:
        """Puts the files back to before the last task. Raises UserError when that cannot be."""
        async with self._press(agent_id) as press:
            agent = press.agent
            ends = (TaskFinished, TaskUndone)
            events = await self._deps.store.events(agent_id, kinds=ends)
            undone = {event.undone_task_id for event in events if isinstance(event, TaskUndone)}
            ended = [str(event.task_id) for event in events if isinstance(event, TaskFinished)]
            left = [ended_id for ended_id in ended if ended_id not in undone]
            if task_id in undone:
                raise UserError("This task is undone already.")
            if agent.status in {AgentStatus.WORKING, AgentStatus.STARTING}:
                raise UserError("The agent is at work. Interrupt it first, then undo.")
            if left[-1:] != [task_id]:
                raise UserError("Another task has worked since. Only the last one can be undone.")
            name = str(agent.last_seq)  # an undo that was refused may be tried again
            if not await self._deliver(press, MessageKind.UNDO, name, task_id, user):
                raise UserError("This task is being undone already.")
            entry = Audit(self._deps.clock(), user, "agent.undo", agent.id, task_id)
            await press.tx.add_audit(entry)

    async def add_steps(self, agent_id: str, task_id: str, user: str) -> None:
        """Starts a task that continues one whose steps are used; pressing twice starts one.

        Raises UserError when the agent has ended.
        """
        async with self._press(agent_id) as press:
            pressed_id = await press.claim(MessageKind.PRESSED, short_name(task_id))
            if pressed_id:
                await press.store_message(pressed_id, user, GO_ON)
                await press.post_notice(pressed_id, f"▶ <@{user}> lets it continue.")

    async def add_budget(self, agent_id: str, task_id: str, usd: int, user: str) -> None:
        """Adds to the budget of an agent and lets it continue; pressing twice adds once.

        Raises UserError when the agent has ended or has no budget.
        """
        async with self._press(agent_id) as press:
            agent = press.agent
            house = nano_of(self._deps.settings.budget_agent_usd)
            budget = house if agent.budget_nano is None else agent.budget_nano
            if not budget:
                raise UserError("This agent has no budget of its own.")
            if budget >= MAX_BUDGET_NANO:
                raise UserError(f"A budget may be {dollars(MAX_BUDGET_NANO)} at the most.")
            pressed_id = await press.claim(MessageKind.PRESSED, short_name(f"{task_id}+{usd}"))
            if pressed_id:
                total = min(budget + usd * NANO, MAX_BUDGET_NANO)
                press.agent = agent.with_budget(total)
                await press.tx.save_agent(press.agent)
                await press.store_message(pressed_id, user, GO_ON)
                text = f"▶ <@{user}> adds ${usd}. The budget is {dollars(total)} now."
                await press.post_notice(pressed_id, text)

    async def mute_thread(self, agent: Agent, user: str, key: str, *, on: bool) -> None:
        """Keeps the thread's plain replies from the agent, or hands them to it again."""
        text = (
            f"🔇 <@{user}> muted this thread: replies are between you now. Mention me to say "
            "something to the agent; `unmute` ends it."
            if on
            else f"🔊 <@{user}> unmuted this thread: replies are for the agent again."
        )
        async with self._deps.store.transaction() as tx:
            name = _mute_setting(agent)
            await tx.set_channel(agent.team, agent.channel, name, user if on else "")
            await tx.enqueue(agent.id, self._deps.presenter.notice(agent, f"mute:{key}", text))

    async def is_muted(self, agent: Agent) -> bool:
        """Checks whether plain replies in the agent's thread are not for it."""
        settings = await self._deps.store.channel_settings(agent.team, agent.channel)
        return _mute_setting(agent) in settings

    def _press(self, agent_id: str) -> AbstractAsyncContextManager[Press]:
        return press_button(self._deps, self._fleet.wake, agent_id)

    async def _deliver(
        self, press: Press, kind: MessageKind, name: str, task_id: str, user: str
    ) -> bool:
        """Stores the press for delivery to the bridge, once, and claims a place for the agent."""
        pressed_id = await press.claim(kind, name)
        if pressed_id:
            await press.store_message(pressed_id, user, pressed_id, task_id)
        press.agent = await self._fleet.capacity.claim_place(press.tx, press.agent)
        press.wakes = True
        return bool(pressed_id)


def _mute_setting(agent: Agent) -> str:
    """Returns the name of the channel's setting that mutes this thread."""
    return f"muted:{agent.thread_ts}"
