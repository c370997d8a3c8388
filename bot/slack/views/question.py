"""Draws a question to people: open, answered, or never answered."""

import re
import time

from bot.domain.agent import Agent
from bot.domain.message import Closed
from bot.domain.quoting import code, cut, escaped, line
from bot.domain.task_card import TaskCard
from bot.slack.views.answer import starter
from bot.slack.views.blocks import Block, actions, button, context, markdown, section
from bot.slack.views.text import model_markdown, visible
from bridge.protocol import MAX_OPTIONS, ApprovalChoice, QuestionAsked, QuestionKind

ANSWERS = tuple(f"agent_answer_{number}" for number in range(MAX_OPTIONS))
APPROVAL_ANSWERS = {
    "agent_leave_once": ApprovalChoice.ONCE,
    "agent_leave_agent": ApprovalChoice.AGENT,
    "agent_leave_refuse": ApprovalChoice.REFUSE,
}
_LABELS = {
    ApprovalChoice.ONCE: "Approve once",
    ApprovalChoice.AGENT: "Approve for this agent",
    ApprovalChoice.REFUSE: "Refuse",
}
_DONE = {
    ApprovalChoice.ONCE: "Approved once",
    ApprovalChoice.AGENT: "Approved for this agent",
    ApprovalChoice.REFUSE: "Refused",
}
_HEADLINE_CHARS = 150
_ANSWER_CHARS = 300


def question_blocks(
    agent: Agent, card: TaskCard, asked: QuestionAsked, closed: Closed | None
) -> tuple[str, list[Block]]:
    """Returns the fallback text and the blocks of a question or an approval."""
    is_approval = asked.kind is QuestionKind.APPROVAL
    text, blocks = _approval(card, asked) if is_approval else _question(card, asked)
    if closed is not None:
        return text, [*blocks, context(_closed(asked, closed))]
    value = f"{agent.id}:{card.task_id}:{asked.question_id}"
    buttons = _approval_buttons(value) if is_approval else _options(asked, value)
    hint = "or reply here" if buttons else "_Reply here to answer._"
    hints = filter(None, ("" if is_approval else hint, starter(agent, card.number)))
    blocks += [actions(buttons)] if buttons else []
    last = " · ".join(hints)
    return text, [*blocks, context(last)] if last else blocks


def _question(card: TaskCard, asked: QuestionAsked) -> tuple[str, list[Block]]:
    waits = f"(task {card.number} waits; no hurry)"
    words = asked.text.strip()
    if "\n" not in words and len(words) <= _HEADLINE_CHARS:
        head = f"❓ *{line(words, _HEADLINE_CHARS)}* {waits}"
        return head, [section(head)]
    head = f"❓ *The agent asks* {waits}"
    text = f"❓ {line(words, _ANSWER_CHARS)} {waits}"
    return text, [section(head), markdown(model_markdown(words))]


def _approval(card: TaskCard, asked: QuestionAsked) -> tuple[str, list[Block]]:
    head = "🔐 *This command is not on the allow-list.* Approve it?"
    folder = visible(asked.working_directory)
    where = "" if folder in ("", ".") else f" in {code(folder)}"
    facts = (
        f"It would run in the container{where}. Asked by step {asked.step} of task {card.number}. "
        f"{line(asked.reason, _ANSWER_CHARS)}"
    )
    text = f"🔐 {code(visible(asked.text))} is not on the allow-list. Approve it?"
    return text, [section(head), markdown(_fenced(asked.text)), context(facts.rstrip())]


def _fenced(text: str) -> str:
    """Returns the whole text in a fence that nothing in it ends, invisible parts spelled out."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{model_markdown(visible(text))}\n{fence}"


def _options(asked: QuestionAsked, value: str) -> list[Block]:
    return [
        button(escaped(option), name, f"{value}:{number}")
        for number, (name, option) in enumerate(zip(ANSWERS, asked.options, strict=False))
    ]


def _approval_buttons(value: str) -> list[Block]:
    style = {ApprovalChoice.REFUSE: "danger"}
    return [
        button(_LABELS[choice], name, f"{value}:{choice}", style.get(choice))
        for name, choice in APPROVAL_ANSWERS.items()
    ]


def _closed(asked: QuestionAsked, closed: Closed) -> str:
    if not closed.user:
        return "Not answered: its task has ended."
    who = f"<@{escaped(closed.user)}>, {_clock(closed.at)}"
    if asked.kind is QuestionKind.APPROVAL:
        done = next((_DONE[choice] for choice in ApprovalChoice if choice == closed.answer), "")
        return f"*{done}* — {who}" if done else f"*Not run: a message came instead* — {who}"
    if closed.by_message:
        return f"*Answered by a message* — {who}"
    return f"*{line(cut(closed.answer, _ANSWER_CHARS), _ANSWER_CHARS)}* — {who}"


def _clock(at: float) -> str:
    """Returns the time of day where the reader is; UTC where Slack cannot tell."""
    utc = time.strftime("%H:%M UTC", time.gmtime(at))
    return f"<!date^{int(at)}^{{time}}|{utc}>"
