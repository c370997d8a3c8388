"""Draws the live card of a task and its summary line."""

from bot.domain.agent import Agent
from bot.domain.budget import NANO
from bot.domain.limits import ordinal
from bot.domain.quoting import code, escaped, line
from bot.domain.task_card import Phase, TaskCard, ToolLine
from bot.slack.views.blocks import Block, actions, button, context, section
from bot.slack.views.evidence import plan_line
from bot.slack.views.plan import in_words, plan_block, tool_block
from bot.slack.views.text import SHOWN_SECONDS, money, seconds
from bridge.protocol import FileChange, Outcome

SHOWN_LINES = 5
INTERRUPT, STOP, PATCH = "agent_interrupt", "agent_stop", "agent_patch"
CONTINUE = "agent_continue"
PAUSE, RESUME, UNDO = "agent_pause", "agent_resume", "agent_undo"
DETAILS, DIFF = "agent_details", "agent_diff"
PUSH, PULL = "agent_push", "agent_pull"
# Adds so many dollars to the budget of an agent that has used it up.
BUDGETS = {"agent_budget_1": 1, "agent_budget_5": 5}


def card_blocks(agent: Agent, card: TaskCard, *, native: bool = False) -> tuple[str, list[Block]]:
    """Returns the fallback text and the blocks of a card: booting, at work, or ended.

    `native`: plan and tool calls as Slack's own blocks for them, which not every workspace takes.
    """
    if card.outcome is not None:
        summary = _summary(card)
        details = button("Details", DETAILS, f"{agent.id}:{card.task_id}")
        return summary, [section(summary) | {"accessory": details}]
    if card.queued:
        return _waiting(agent, card)
    if not card.running:
        return _booting(card)
    return _working(agent, card, native=native)


def _waiting(agent: Agent, card: TaskCard) -> tuple[str, list[Block]]:
    head = f"⏳ *Waiting for a free place*: {ordinal(card.queued)} in the queue"
    hint = "_It starts by itself when another agent ends or falls asleep._"
    stop = button("Stop", STOP, f"{agent.id}:{card.task_id}", "danger")
    return head, [section(head), context(hint), actions([stop])]


def _booting(card: TaskCard) -> tuple[str, list[Block]]:
    head = f"⏳ *Starting* · {seconds(card.seconds)}"
    phases = "   ".join(_phase(phase) for phase in card.phases)
    return head, [section(head), *([context(phases)] if phases else [])]


def _phase(phase: Phase) -> str:
    if phase.seconds is None:
        return f"… {phase.name}"
    return f"✓ {phase.name} {seconds(phase.seconds)}"


def _working(agent: Agent, card: TaskCard, *, native: bool) -> tuple[str, list[Block]]:
    head = (
        f"{_state(card)} · step {max(card.step, 1)} of {card.max_steps} · {seconds(card.seconds)}"
    )
    if cost := cost_of(agent, card):
        head += f" · {cost}"
    blocks = [section(head)]
    if card.plan:
        blocks.append(plan_block(card) if native else section(plan_line(card.plan)))
    shown = card.tools[-SHOWN_LINES:]
    if hidden := card.tool_count - len(shown):
        blocks.append(context(f"{hidden} earlier steps"))
    if native:
        blocks += [tool_block(card, tool, hidden + n) for n, tool in enumerate(shown)]
    elif shown:
        blocks.append(section("\n".join(map(tool_line, shown))))
    if card.waiting:
        blocks.append(context(f"⏳ {line(card.waiting, 300)}"))
    value = f"{agent.id}:{card.task_id}"
    buttons = [
        button("Resume", RESUME, value) if card.paused else button("Pause", PAUSE, value),
        button("Interrupt", INTERRUPT, value),
        button("Stop", STOP, value, "danger"),
        button("Details", DETAILS, value),
    ]
    return head, [*blocks, actions(buttons)]


def _state(card: TaskCard) -> str:
    if card.paused:
        return "⏸ *Paused*"
    return "❓ *Waiting for an answer*" if card.question else "▶ *Working*"


def cost_of(agent: Agent, card: TaskCard) -> str:
    """Returns the cost of the task, or of an agent with a budget in all: `$0.11 of $2.00`."""
    if agent.budget_nano is not None:
        return f"{money(agent.spent_nano / NANO)} of {money(agent.budget_nano / NANO)}"
    return "" if card.cost_usd is None else money(card.cost_usd)


def tool_line(tool: ToolLine) -> str:
    """Returns one tool call on one line: mark, name, target, result in a few words, duration."""
    mark = "⋯" if tool.ok is None else "✓" if tool.ok else "✗"
    parts = [f"{mark} {escaped(tool.tool)}"]
    if tool.target:
        parts[0] += f" {code(tool.target)}"
    parts += in_words(tool)
    if tool.ok is not None:
        parts += [line(tool.summary, 120)] if tool.summary else []
        parts += [seconds(tool.seconds)] if tool.seconds >= SHOWN_SECONDS else []
    return " · ".join(parts)


_MARKS = {
    Outcome.BUDGET_LIMIT: "⏸",
    Outcome.COMPLETED: "✓",
    Outcome.STEP_LIMIT: "⏸",
    Outcome.INTERRUPTED: "⏹",
    Outcome.FAILED: "⚠",
}
_WORDS = {
    Outcome.BUDGET_LIMIT: "budget used",
    Outcome.COMPLETED: "",
    Outcome.STEP_LIMIT: "step limit",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.FAILED: "failed",
}


def _summary(card: TaskCard) -> str:
    outcome = card.outcome or Outcome.INTERRUPTED
    word = _WORDS[outcome]
    parts = [f"{_MARKS[outcome]} *Task {card.number}*{' ' + word if word else ''}"]
    if card.step:
        parts.append(f"{card.step} {'step' if card.step == 1 else 'steps'}")
    parts.append(seconds(card.seconds))
    if card.cost_usd is not None:
        parts.append(money(card.cost_usd))
    if card.files:
        parts.append(changed(card.files))
    return " · ".join(parts)


def changed(files: tuple[FileChange, ...]) -> str:
    """Returns `2 files, +14 -6`, with a real minus sign."""
    added, removed = sum(f.added for f in files), sum(f.removed for f in files)
    noun = "file" if len(files) == 1 else "files"
    return f"{len(files)} {noun}, +{added} \u2212{removed}"
