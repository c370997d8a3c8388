"""Draws the end of a task: the model's answer or a sentence, the facts, the buttons."""

from collections.abc import Sequence
from typing import assert_never

from bot.domain.agent import (
    Agent,
    SecretScope,
)
from bot.domain.budget import NANO
from bot.domain.quoting import code, cut, escaped, line
from bot.domain.task_card import TaskCard
from bot.slack.views.blocks import Block, actions, button, context, markdown, section
from bot.slack.views.evidence import evidence_line
from bot.slack.views.splitting import split_markdown
from bot.slack.views.task_card import (
    BUDGETS,
    CONTINUE,
    DIFF,
    PATCH,
    PULL,
    PUSH,
    STOP,
    UNDO,
    changed,
    cost_of,
)
from bot.slack.views.text import MAX_FALLBACK_CHARS, model_markdown, money, seconds
from bridge.protocol import ErrorCode, Outcome


def answer_messages(agent: Agent, card: TaskCard) -> Sequence[tuple[str, list[Block]]]:
    """Returns the messages about the end of a task, each as its plain text and its blocks."""
    heading, body = _ending(agent, card)
    parts = split_markdown(model_markdown(body)) if body else []
    messages: list[list[Block]] = [[markdown(part)] for part in parts] or [[]]
    if heading:
        messages[0].insert(0, section(heading))
    if evidence := evidence_line(card.evidence):
        messages[-1].append(context(evidence))
    messages[-1].append(context(_footer(agent, card)))
    messages[-1] += _buttons(agent, card)
    texts = [escaped(cut(part, MAX_FALLBACK_CHARS)) for part in parts] or [heading]
    texts[0] = heading or texts[0]
    return list(zip(texts, messages, strict=True))


def starter(agent: Agent, task_number: int) -> str:
    """Returns a mention of the person whom a message of the first task is for.

    Its root names nobody, so that nothing before the answer notifies anybody; from the mention on
    they follow the thread.
    """
    return f"for <@{agent.started_by}>" if task_number <= 1 else ""


def _ending(agent: Agent, card: TaskCard) -> tuple[str, str]:
    """Returns the heading (mrkdwn, may be empty) and the model's text (markdown, may be empty)."""
    match card.outcome:
        case Outcome.COMPLETED | None:
            if card.answer.strip():
                return "", card.answer
            return "✓ *Done.* The model wrote no closing message.", ""
        case Outcome.STEP_LIMIT:
            return (
                f"⏸ *Step limit reached* ({card.max_steps}). Reply or press Continue to go on.",
                card.answer,
            )
        case Outcome.BUDGET_LIMIT:
            return _no_money(agent, card), card.answer
        case Outcome.INTERRUPTED:
            kept = "Files and conversation are kept; reply to go on."
            return f"⏹ *Interrupted* after {seconds(card.seconds)}. {kept}", card.answer
        case Outcome.FAILED:
            reason = card.error.message if card.error else "The task failed."
            cause = line(reason, 600)
            again = 'Nothing is lost; reply "go on" to try again.'
            return f"⚠ {cause} {again} {code(agent.id)}", card.answer


def _buttons(agent: Agent, card: TaskCard) -> list[Block]:
    value = f"{agent.id}:{card.task_id}"
    shown = []
    if card.outcome is Outcome.STEP_LIMIT:
        shown.append(button("Continue", CONTINUE, value))
    if card.outcome is Outcome.BUDGET_LIMIT:
        if _of_agent(card):
            shown += [button(f"+${usd}", name, value) for name, usd in BUDGETS.items()]
        shown.append(button("Stop", STOP, value, "danger"))
    if card.files:
        shown += [
            button("Show diff", DIFF, value),
            button("Patch", PATCH, value),
            button("Push branch", PUSH, value),
            button("Open pull request", PULL, value),
        ]
    if card.evidence.changed:
        shown.append(button("Undo", UNDO, value))
    return [actions(shown)] if shown else []


def _of_agent(card: TaskCard) -> bool:
    """Checks whether the agent's own budget is used up, which its people may raise."""
    return card.error is not None and card.error.code == ErrorCode.BUDGET_USED


def _no_money(agent: Agent, card: TaskCard) -> str:
    kept = "Files and conversation are kept."
    if _of_agent(card) and agent.budget_nano is not None:
        # Our own numbers: the error's came through the container.
        used, budget = money(agent.spent_nano / NANO), money(agent.budget_nano / NANO)
        question = "" if agent.spent_nano >= agent.budget_nano else (
            " The next call might cost more than what is left."
        )  # fmt: skip
        return f"⏸ *Budget used: {used} of {budget}.*{question} {kept}"
    reason = line(card.error.message, 300) if card.error else "The budget is used."
    return f"⏸ {reason} {kept} Reply to go on then."


def _footer(agent: Agent, card: TaskCard) -> str:
    facts = [code(agent.target_branch)]
    if card.files:
        facts.append(changed(card.files))
    facts.append(escaped((card.model or agent.model).rpartition("/")[2]))
    facts.append(f"{card.step} {'step' if card.step == 1 else 'steps'}")
    facts.append(seconds(card.seconds))
    if card.tokens:
        facts.append(f"{card.tokens:,} tokens")
    if cost := cost_of(agent, card):
        facts.append(cost)
    facts += filter(None, (_payer(agent), starter(agent, card.number)))
    return " · ".join(facts)


def _payer(agent: Agent) -> str:
    """Returns whose key paid the model calls; "" for the deployment's own."""
    match agent.paid_by:
        case SecretScope.USER:
            return f"paid by the key of <@{agent.started_by}>"
        case SecretScope.CHANNEL:
            return "paid by the key of this channel"
        case SecretScope.REPOSITORY | SecretScope.DEPLOYMENT:
            return ""
        case _:
            assert_never(agent.paid_by)
