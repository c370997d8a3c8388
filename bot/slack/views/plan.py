"""Makes Slack's own blocks for an agent's work: a plan, and a card for each tool call."""

import re

from bot.domain.quoting import NO_BREAK, cut
from bot.domain.task_card import TaskCard, ToolLine
from bot.slack.views.blocks import Block
from bot.slack.views.text import SHOWN_SECONDS, model_markdown, seconds
from bridge.protocol import PlanStatus

_TITLE_CHARS = 150
_OPENS = re.compile(r"<(?=[^\s\u200b])")
_PLANNED = {
    PlanStatus.DONE: "complete",
    PlanStatus.DOING: "in_progress",
    PlanStatus.TODO: "pending",
}
_RUN = {None: "in_progress", True: "complete", False: "error"}


def plan_block(card: TaskCard) -> Block:
    """Returns the model's plan; how much of it is done is said in words too."""
    done = sum(item.status is PlanStatus.DONE for item in card.plan)
    tasks = [
        _card(f"{card.task_id}-plan-{number}", item.text, _PLANNED[item.status])
        for number, item in enumerate(card.plan)
    ]
    return {"type": "plan", "title": f"Plan: {done} of {len(tasks)} done", "tasks": tasks}


def tool_block(card: TaskCard, tool: ToolLine, number: int) -> Block:
    """Returns one tool call, on one line; `number` counts the calls of the task."""
    parts = [f"{tool.tool} {tool.target}".strip()]
    if tool.ok is not None:
        parts += in_words(tool)
        parts += [tool.summary] if tool.summary else []
        parts += [seconds(tool.seconds)] if tool.seconds >= SHOWN_SECONDS else []
    return _card(f"{card.task_id}-call-{number}", " · ".join(parts), _RUN[tool.ok])


def in_words(tool: ToolLine) -> list[str]:
    """Returns the mark of a call in words, for those who do not see it."""
    if tool.ok is None:
        return ["running"]
    return [] if tool.ok or tool.summary.startswith("exit ") else ["failed"]


def _card(task_id: str, title: str, status: str) -> Block:
    # Whether Slack decodes entities here is written nowhere, so that there are none to decode:
    # a plain title pings nobody, and what it might read as a mention is broken up.
    words = _OPENS.sub(f"<{NO_BREAK}", " ".join(model_markdown(title).split()))
    shown = cut(words, _TITLE_CHARS) or "(no words)"
    return {"type": "task_card", "task_id": task_id, "title": shown, "status": status}
