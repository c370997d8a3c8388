"""Tools that show people the plan and ask them a question while a task runs."""

from typing import Annotated

from pydantic import Field

from bridge.protocol import (
    MAX_OPTION_CHARS,
    MAX_OPTIONS,
    MAX_PLAN_ITEMS,
    MAX_QUESTION_CHARS,
    PlanItem,
    PlanStatus,
    QuestionKind,
)
from bridge.text import clean, count, shown
from bridge.tools.base import Arguments, Question, Tool, ToolContext, ToolResult

ASK_USER, UPDATE_PLAN = "ask_user", "update_plan"


class PlanPart(Arguments):
    """One part of a plan."""

    text: str = Field(min_length=1, max_length=200, description="A few words.")
    status: PlanStatus = PlanStatus.TODO


class UpdatePlan(Arguments):
    """Arguments of update_plan."""

    items: list[PlanPart] = Field(
        max_length=MAX_PLAN_ITEMS, description="The whole plan, in order; it replaces the last one."
    )


class AskUser(Arguments):
    """Arguments of ask_user."""

    question: str = Field(
        min_length=1,
        max_length=MAX_QUESTION_CHARS,
        description="One question, with what is needed to answer it.",
    )
    options: list[Annotated[str, Field(min_length=1, max_length=MAX_OPTION_CHARS)]] = Field(
        default=[],
        max_length=MAX_OPTIONS,
        description="Short answers to choose from, if there are some; free text stays possible.",
    )


async def _update_plan(_context: ToolContext, arguments: UpdatePlan) -> ToolResult:
    items = tuple(
        PlanItem(text=text, status=part.status)
        for part in arguments.items
        if (text := _line(part.text, 200))
    )
    done = sum(item.status is PlanStatus.DONE for item in items)
    return ToolResult("The people see the plan.", f"{done} of {len(items)} done", plan=items)


async def _ask_user(context: ToolContext, arguments: AskUser) -> ToolResult:
    answer = context.answer
    if answer is None:
        lines = (_line(option, MAX_OPTION_CHARS) for option in arguments.options)
        options = tuple(dict.fromkeys(line for line in lines if line))
        context.ask(Question(QuestionKind.QUESTION, clean(arguments.question), options))
    if answer.message_id is not None:
        return ToolResult("A person answered by a message, which follows.", "answered by a reply")
    return ToolResult(f"The person answered:\n{answer.answer}", shown(answer.answer)[:80])


def _line(text: str, limit: int) -> str:
    return " ".join(clean(shown(text)).split())[:limit].rstrip()


UPDATE_PLAN_TOOL = Tool(
    name=UPDATE_PLAN,
    description=(
        "Show your plan to the people as a checklist. Worth it for work of several parts; call it "
        "again when a part is done, together with your other calls."
    ),
    arguments=UpdatePlan,
    run=_update_plan,
    target=lambda arguments: count(len(arguments.items), "part"),
    here=True,
)
ASK_USER_TOOL = Tool(
    name=ASK_USER,
    description=(
        "Ask the people one question and wait for the answer. Only when a wrong guess would cost "
        "more than the wait: it may be hours. What you can find out yourself is no question."
    ),
    arguments=AskUser,
    run=_ask_user,
    target=lambda arguments: shown(arguments.question),
    here=True,
)
