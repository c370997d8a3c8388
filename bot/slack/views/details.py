"""Draws the modal with all steps of a task: the arguments and the output of each tool."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.domain.quoting import code
from bot.domain.steps import TaskSteps, ToolStep
from bot.domain.task_card import ToolLine
from bot.slack.views.blocks import Block, button, context, section
from bot.slack.views.modal import (
    LITERAL_CHARS,
    ModalLocation,
    leading,
    literal,
    pieces,
    turning,
    window,
)
from bot.slack.views.task_card import tool_line
from bridge.protocol import Outcome

CHANGE_MODEL = "agent_change_model"
TITLE = "Steps of the task"
# A window may have 100 blocks and 250 kB; this is what one reads without losing the thread.
_PAGE_CHARS, _PAGE_BLOCKS = 12_000, 60
# Room for the head and the buttons. Characters that must be made visible make a page longer.
_MOST_BLOCKS = 95
_LEFT_OUT = "This page is longer than a window holds; the rest of it is left out."
_ENDS = {
    Outcome.COMPLETED: "completed",
    Outcome.STEP_LIMIT: "ended at the step limit",
    Outcome.BUDGET_LIMIT: "ended at the budget",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.FAILED: "failed",
}


def details_view(place: ModalLocation, steps: TaskSteps, model: str = "") -> dict[str, Any]:
    """Returns one page of the steps; a page that is not there becomes the nearest one.

    `model` is that of the agent, where it can be changed.
    """
    pages = _pages(steps.calls)
    place = replace(place, page=min(place.page, len(pages) - 1))
    how = _ENDS[steps.outcome] if steps.outcome else "at work"
    counts = f"{_count(steps.steps, 'step')} · {_count(len(steps.calls), 'tool call')} · {how}"
    if model:
        counts += f" · {code(model, 80)}"
    more = [] if steps.outcome else [leading("Refresh", place, "refresh")]
    more += [button("Change model", CHANGE_MODEL, place.packed())] if model else []
    blocks = [context(counts), *_page(pages[place.page]), *turning(place, len(pages), more)]
    return window(TITLE, blocks)


def _pages(calls: Sequence[ToolStep]) -> list[list[tuple[int, ToolStep]]]:
    """Divides the numbered calls into pages by their lengths alone; one page is drawn of many."""
    pages: list[list[tuple[int, ToolStep]]] = [[]]
    size = blocks = 0
    for number, call in enumerate(calls, start=1):
        chars, height = len(call.arguments) + len(call.result), _height(call)
        if pages[-1] and (size + chars > _PAGE_CHARS or blocks + height > _PAGE_BLOCKS):
            pages.append([])
            size = blocks = 0
        pages[-1].append((number, call))
        size += chars
        blocks += height
    return pages


def _height(call: ToolStep) -> int:
    """Returns about how many blocks a call takes: its line, and two texts below headings."""
    texts = (len(call.arguments.removeprefix("{}")), len(call.result))
    return 1 + sum(1 - (-chars // LITERAL_CHARS) for chars in texts if chars)


def _page(calls: Sequence[tuple[int, ToolStep]]) -> list[Block]:
    if not calls:
        return [section("No tool was called so far.")]
    blocks = [block for number, call in calls for block in _call(number, call)]
    if len(blocks) > _MOST_BLOCKS:
        return [*blocks[:_MOST_BLOCKS], context(_LEFT_OUT)]
    return blocks


def _call(number: int, call: ToolStep) -> list[Block]:
    line = tool_line(
        ToolLine(call.call_id, call.tool, call.target, call.ok, call.summary, call.seconds)
    )
    blocks = [section(f"*{number}.* {line} · step {call.step}")]
    if call.arguments.strip() not in {"", "{}"}:
        blocks += [context("Arguments"), *map(literal, pieces(call.arguments))]
    if call.result.strip():
        blocks += [context("Result"), *map(literal, pieces(call.result))]
    return blocks


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
