"""Stores each event of an agent together with what the thread should show because of it."""

from collections.abc import Sequence
from dataclasses import replace

from bot.agents.context import Dependencies
from bot.agents.ports.store import Transaction
from bot.domain.agent import Agent
from bot.domain.message import Closed
from bot.domain.posts import Post
from bot.domain.task_card import TaskCard, ToolLine
from bot.domain.verbosity import Verbosity
from bridge.protocol import (
    AgentEvent,
    FilesChanged,
    MessageTakenUp,
    ModelChanged,
    ModelRetried,
    Outcome,
    PlanUpdated,
    QuestionAnswered,
    QuestionAsked,
    StepStarted,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    ToolFinished,
    ToolStarted,
)

_SHOWN = (
    TaskStarted, StepStarted, ToolStarted, ToolFinished, FilesChanged, ModelRetried, ModelChanged,
    PlanUpdated, TaskPaused, TaskResumed,
)  # fmt: skip


class Progress:
    """Keeps the live card of one agent's newest task, and makes the posts that its events cause."""

    def __init__(self, deps: Dependencies, agent: Agent) -> None:
        self._deps = deps
        self._agent_id = agent.id
        now = deps.clock()
        number = max(agent.task_number, 1)
        self.card = TaskCard(agent.task_id or agent.first_task_id, number, started_at=now, now=now)
        self._stored_card = self.card
        self._silenced = False
        self._failure_reason = ""
        self._asked: QuestionAsked | None = None  # and not answered
        # Of the step that ended with the newest event: its number, and its tool calls.
        self._ended_step: tuple[int, Sequence[ToolLine]] | None = None
        self._tools_before = 0
        # The task whose card the thread shows; after a restart, what is not quiet shows one.
        self._shown_card = "" if agent.verbosity is Verbosity.QUIET else self.card.task_id

    async def restore(self, agent: Agent) -> None:
        """Draws the card of the task at work again from its stored events."""
        if agent.task_id is None:
            return
        events = await self._deps.store.events(agent.id, agent.task_id)
        if events:
            self.card = replace(self.card, started_at=events[0].at, now=events[0].at)
        for event in events:
            self._apply(agent, event)
        self._ended_step = None
        self._stored_card = self.card

    def hide_interruption(self) -> None:
        """Leaves out the post of an interruption, since the message of the stop says it all."""
        self._silenced = True

    def explain_failure(self, text: str) -> None:
        """Sets the reason why the task at work is about to fail, which the bridge does not know."""
        self._failure_reason = text

    def begin_task(self, agent: Agent, task_id: str) -> None:
        """Begins the card of the next task."""
        now = self._deps.clock()
        self.card = TaskCard(task_id, agent.task_number + 1, started_at=now, now=now)
        self._tools_before = 0

    async def show_phase(self, name: str) -> None:
        """Shows that a phase of the boot begins; a task that is at work or over shows none."""
        if self.card.running or self.card.outcome is not None:
            return
        if any(phase.name == name and phase.seconds is None for phase in self.card.phases):
            return
        self.card = self.card.begin_phase(name, self._deps.clock())
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(self._agent_id)
            if agent and agent.alive:
                for post in self._card(agent):
                    await tx.enqueue(agent.id, post)

    async def take_event(self, event: AgentEvent) -> None:
        """Stores one event, the agent after it, and its posts, in one transaction."""
        if not event.seq:
            return
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(self._agent_id)
            if agent is None or event.seq <= agent.last_seq:
                return
            after = agent.apply(event)
            self._apply(after, event)
            await tx.add_events(agent.id, [event])
            await tx.save_agent(after)
            for post in (*self._posts(after, event), *await self._taken_mark(tx, after, event)):
                await tx.enqueue(agent.id, post)
        self._stored_card = self.card

    async def close_card(self, tx: Transaction, agent: Agent) -> None:
        """Ends the card, within a transaction, so that no card says that it is still at work."""
        if self.card.outcome is None:
            self.card = self.card.cut_short(self._deps.clock())
        for post in self._unanswered(agent):
            await tx.enqueue(agent.id, post)
        # An event whose transaction was cut off has changed the card here and not there.
        if self.card is not self._stored_card:
            for post in self._card(agent):
                await tx.enqueue(agent.id, post)

    def _apply(self, agent: Agent, event: AgentEvent) -> None:
        if isinstance(event, TaskStarted) and event.task_id not in {None, self.card.task_id}:
            self.card = TaskCard(
                str(event.task_id), agent.task_number, started_at=event.at, now=event.at
            )
            self._tools_before = 0
        if isinstance(event, StepStarted | TaskFinished):
            count = self.card.tool_count - self._tools_before
            self._ended_step = (self.card.step, self.card.tools[-count:] if count else ())
            self._tools_before = self.card.tool_count
        self.card = replace(self.card.apply(event), number=max(agent.task_number, 1))
        if self.card.question is not None:
            self._asked = self.card.question

    def _posts(self, agent: Agent, event: AgentEvent) -> Sequence[Post]:  # noqa: PLR0911  (one arm an event)
        presenter = self._deps.presenter
        match event:
            case QuestionAsked():
                self._asked = event
                return (*self._card(agent), presenter.question(agent, self.card, event))
            case QuestionAnswered():
                return (*self._card(agent), *self._answered(agent, event))
            case TaskFinished() if self._asked is not None:
                unanswered = self._unanswered(agent)
                return (*unanswered, *self._posts(agent, event))
            case TaskFinished():
                card = (*self._ended_step_post(agent), *self._card(agent))
                if self._silenced and event.outcome is Outcome.INTERRUPTED:
                    return card
                if self._failure_reason and event.outcome is Outcome.FAILED:
                    reason, self._failure_reason = self._failure_reason, ""
                    text = f'{reason} Its files are as they were; reply "go on" to go on.'
                    return (*card, presenter.trouble(agent, f"revived:{event.seq}", text))
                return (*card, *presenter.answer(agent, self.card))
            case ModelChanged(error=error) if error is not None:
                return (*self._card(agent), presenter.fallback(agent, event))
            case _ if isinstance(event, _SHOWN):
                return (*self._ended_step_post(agent), *self._card(agent))
            case _:
                return ()

    def _answered(self, agent: Agent, event: QuestionAnswered) -> Sequence[Post]:
        asked, self._asked = self._asked, None
        if asked is None or asked.question_id != event.question_id:
            return ()
        by_message = event.message_id is not None
        closed = Closed(event.author, event.answer, event.at, by_message)
        return (self._deps.presenter.question(agent, self.card, asked, closed),)

    def _unanswered(self, agent: Agent) -> Sequence[Post]:
        """Returns the open question without its buttons, since nobody can answer it any more."""
        asked, self._asked = self._asked, None
        if asked is None:
            return ()
        return (self._deps.presenter.question(agent, self.card, asked, Closed()),)

    def _card(self, agent: Agent) -> Sequence[Post]:
        """Returns the live card, where the thread shows one; a shown card is always ended."""
        ends_shown = self._shown_card == self.card.task_id and self.card.outcome is not None
        if agent.verbosity is Verbosity.QUIET and not ends_shown:
            return ()
        self._shown_card = self.card.task_id
        return (self._deps.presenter.card(agent, self.card),)

    def _ended_step_post(self, agent: Agent) -> Sequence[Post]:
        """Returns the post of the step that has just ended, where the thread shows each one."""
        step, self._ended_step = self._ended_step, None
        if step is None or agent.verbosity is not Verbosity.VERBOSE:
            return ()
        number, lines = step
        return (self._deps.presenter.step(agent, self.card, number, lines),) if lines else ()

    async def _taken_mark(self, tx: Transaction, agent: Agent, event: AgentEvent) -> Sequence[Post]:
        """Returns the mark of the message that a task has taken, where it is in the thread."""
        if not isinstance(event, MessageTakenUp | TaskStarted) or not event.message_id:
            return ()
        message = await tx.message(agent.id, event.message_id)
        if message is None or not message.is_posted:
            return ()
        return (self._deps.presenter.mark(agent, message.id, "used"),)
