"""A person answers what a task waits for: once, stored before it has its effect."""

from collections.abc import Sequence

from bot.agents.context import Dependencies
from bot.agents.lifecycle.failures import why_not
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.ports.store import (
    Transaction,
)
from bot.domain.agent import Agent
from bot.domain.message import (
    Closed,
    Message,
    MessageKind,
    message_id,
)
from bot.domain.policy import (
    Action,
    Audit,
)
from bot.domain.task_card import TaskCard
from bot.errors import UserError
from bridge.protocol import (
    AgentEvent,
    ApprovalChoice,
    QuestionAnswered,
    QuestionAsked,
    QuestionKind,
    TaskFinished,
    TaskStarted,
)

_TOLD = (TaskStarted, QuestionAsked, QuestionAnswered, TaskFinished)
_ENDED = "This question is not open any more: its task has ended."
_TWICE = "This was answered already; the message above says by whom."
_NO_ANSWER = "That is no answer to this question. Reply in the thread instead."
_WORDS = {
    ApprovalChoice.ONCE: "approved once",
    ApprovalChoice.AGENT: "approved for the agent",
    ApprovalChoice.REFUSE: "refused",
}


class Questions:
    """Turns a press of a button into an answer that is handed to the bridge, awake or not."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet

    async def answer(
        self,
        agent_id: str,
        task_id: str,
        question_id: str,
        choice: str,
        user: str,
        *,
        kind: QuestionKind = QuestionKind.QUESTION,
    ) -> None:
        """Answer an open question of this kind; `choice` is the number of an option, or a Leave.

        Raises UserError when it is not open, or has been answered.
        """
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(agent_id)
            if agent is None or not agent.alive:
                raise UserError(why_not(agent) if agent else "There is no such agent any more.")
            events = await self._deps.store.events(agent_id, task_id, kinds=_TOLD)
            asked = _open(events, question_id)
            answer = _chosen(asked, choice) if asked.kind is kind else None
            if answer is None:
                raise UserError(_NO_ANSWER)
            answer_id = message_id(MessageKind.ANSWER, question_id)
            if not await tx.claim_message(agent.team, agent.channel, f"{agent.id}:{answer_id}"):
                raise UserError(_TWICE)
            await tx.add_message(
                Message(answer_id, agent.id, user, answer, task_id, kind=MessageKind.ANSWER)
            )
            await self._close(tx, agent, events, asked, Closed(user, answer, self._deps.clock()))
            agent = await self._fleet.places.ask(tx, agent)
        self._fleet.wake(agent)

    async def _close(
        self,
        tx: Transaction,
        agent: Agent,
        events: Sequence[AgentEvent],
        asked: QuestionAsked,
        closed: Closed,
    ) -> None:
        began = events[0].at
        card = TaskCard(str(asked.task_id), agent.task_number, started_at=began, now=began)
        await tx.enqueue(agent.id, self._deps.presenter.question(agent, card, asked, closed))
        if asked.kind is QuestionKind.APPROVAL:
            said = _WORDS[ApprovalChoice(closed.answer)]
            subject = f"{agent.id} {asked.fingerprint} {asked.text}"
            entry = Audit(closed.at, closed.user, Action.APPROVE, subject, said)
            await tx.add_audit(entry)


def _open(events: Sequence[AgentEvent], question_id: str) -> QuestionAsked:
    asked = None
    for event in events:
        match event:
            case QuestionAsked() if event.question_id == question_id:
                asked = event
            case QuestionAnswered() if event.question_id == question_id:
                raise UserError(_TWICE)
            case TaskFinished():
                raise UserError(_ENDED)
            case _:
                pass
    if asked is None:
        raise UserError(_ENDED)
    return asked


def _chosen(asked: QuestionAsked, choice: str) -> str | None:
    if asked.kind is QuestionKind.APPROVAL:
        return next((leave.value for leave in ApprovalChoice if leave == choice), None)
    number = int(choice) if choice.isascii() and choice.isdigit() else len(asked.options)
    return asked.options[number] if number < len(asked.options) else None
