"""Answers the questions that a task waits for: each once, stored before it has its effect."""

from collections.abc import Sequence

from bot.agents.context import Dependencies
from bot.agents.controls.press import press_button
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.ports.store import Transaction
from bot.domain.agent import Agent
from bot.domain.message import (
    Closed,
    MessageKind,
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

_SHOWN = (TaskStarted, QuestionAsked, QuestionAnswered, TaskFinished)
_ENDED = "This question is not open any more: its task has ended."
_TWICE = "This was answered already; the message above says by whom."
_NO_ANSWER = "That is no answer to this question. Reply in the thread instead."
_APPROVAL_TEXTS = {
    ApprovalChoice.ONCE: "approved once",
    ApprovalChoice.AGENT: "approved for the agent",
    ApprovalChoice.REFUSE: "refused",
}


class Questions:
    """Turns a press of a button into an answer that is delivered to the bridge, awake or not."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet

    async def answer_question(
        self,
        agent_id: str,
        task_id: str,
        question_id: str,
        choice: str,
        user: str,
        *,
        kind: QuestionKind = QuestionKind.QUESTION,
    ) -> None:
        """Answers an open question of this kind; `choice` is the number of an option, or an
        ApprovalChoice.

        Raises UserError when it is not open, or has been answered.
        """
        async with press_button(self._deps, self._fleet.wake, agent_id) as press:
            events = await self._deps.store.events(agent_id, task_id, kinds=_SHOWN)
            asked = _open_question(events, question_id)
            answer = _chosen_answer(asked, choice) if asked.kind is kind else None
            if answer is None:
                raise UserError(_NO_ANSWER)
            answer_id = await press.claim(MessageKind.ANSWER, question_id)
            if not answer_id:
                raise UserError(_TWICE)
            await press.store_message(answer_id, user, answer, task_id)
            closed = Closed(user, answer, self._deps.clock())
            await self._close(press.tx, press.agent, events, asked, closed)
            press.agent = await self._fleet.capacity.claim_place(press.tx, press.agent)

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
            outcome = _APPROVAL_TEXTS[ApprovalChoice(closed.answer)]
            subject = f"{agent.id} {asked.fingerprint} {asked.text}"
            entry = Audit(closed.at, closed.user, Action.APPROVE, subject, outcome)
            await tx.add_audit(entry)


def _open_question(events: Sequence[AgentEvent], question_id: str) -> QuestionAsked:
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


def _chosen_answer(asked: QuestionAsked, choice: str) -> str | None:
    if asked.kind is QuestionKind.APPROVAL:
        return next((option.value for option in ApprovalChoice if option == choice), None)
    number = int(choice) if choice.isascii() and choice.isdigit() else len(asked.options)
    return asked.options[number] if number < len(asked.options) else None
