"""Every post that the voice can make, by name: from ordinary words, and from hostile ones."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from bot.domain.agent import (
    Agent,
    Leftover,
    RepoRef,
    SecretScope,
)
from bot.domain.message import Closed
from bot.domain.posts import Post
from bot.domain.saved_state import SavedWork
from bot.domain.task_card import Phase, TaskCard, ToolLine
from bot.slack.views.presenter import SlackPresenter
from bridge.protocol import (
    ApprovalChoice,
    Check,
    CheckKind,
    Diff,
    Evidence,
    FileChange,
    Outcome,
    PlanItem,
    PlanStatus,
    QuestionAsked,
    QuestionKind,
    WireError,
)

VOICE = SlackPresenter("octagonal_sign")
WARY_VOICE = SlackPresenter("octagonal_sign", lambda _: True)
PATCH = b"diff --git a/a b/a\n\xff\x00"


@dataclass(frozen=True, slots=True)
class Words:
    """What others write: the title, tool names, targets, paths, branches, answers, errors."""

    title: str = "fix the flaky test in test_orders"
    name: str = "Ana Ito"
    short: str = "pytest -q tests/test_orders.py"
    tool: str = "run_command"
    summary: str = "exit 1 · 1 failed, 11 passed"
    path: str = "app/orders.py"
    branch: str = "main"
    model: str = "anthropic/claude-3.5-sonnet"
    answer: str = "The test failed because two orders could share a timestamp.\n\n- sorted by `id`"
    error: str = "The model provider did not answer (3 tries over 2 min: 502)."


@contextmanager
def noted(name: str) -> Iterator[None]:
    """Say with a failure which of many it is about."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"in {name}")
        raise


def posts(words: Words) -> Mapping[str, Post]:
    """The posts of one agent, in every shape they have."""
    agent, cards = agent_of(words), _cards(words)
    made = {
        "root": VOICE.root(agent),
        "root_of_a_nameless_person": VOICE.root(replace(agent, starter_name="")),
        "root_of_an_unknown_branch": VOICE.root(replace(agent, source_branch=None)),
        "trouble": VOICE.trouble(agent, "failed", "The image is missing. Run `make image`."),
        "stopped_unread": VOICE.stopped(agent, "UBEN", 41, SavedWork(None, b"")),
        "stopped_unread_with_a_patch": VOICE.stopped(agent, "UBEN", 41, SavedWork(None, PATCH)),
        "stopped_by_its_starter": VOICE.stopped(agent, "UANA", 41, SavedWork(None, b"")),
        "stopped_unchanged": VOICE.stopped(agent, "UBEN", 41, SavedWork(_diff(words, 0), b"")),
        "stopped": VOICE.stopped(agent, "UBEN", 3_661, SavedWork(_diff(words, 1), PATCH)),
        "stopped_pushed": VOICE.stopped(agent, "UBEN", 41, SavedWork(_diff(words, 1), PATCH, True)),
        "stopped_many_files": VOICE.stopped(
            agent, "UBEN", 0.4, SavedWork(_diff(words, 5_000), PATCH)
        ),
        **_leftovers(words, agent),
        "patch": VOICE.patch(agent, "stopped:7", PATCH),
        "patch_with_a_secret": WARY_VOICE.patch(agent, "stopped:7", PATCH),
        "notice": VOICE.notice(agent, "asleep:7", "💤 The container ended (exit 0)."),
    }
    calls = cards["working"].tools
    made["step"] = VOICE.step(agent, cards["working"], 3, calls)
    made["step_of_many_calls"] = VOICE.step(agent, cards["working"], 4, calls * 20)
    rich = replace(agent, budget_nano=2_000_000_000, spent_nano=1_970_000_000)
    made["card_of_a_budget"] = VOICE.card(rich, cards["working"])
    [made["answer_of_a_budget"]] = VOICE.answer(rich, cards["budget_limit"])
    used = replace(rich, spent_nano=2_000_000_000)
    [made["answer_of_a_used_budget"]] = VOICE.answer(used, cards["budget_limit"])
    for payer in (SecretScope.USER, SecretScope.CHANNEL):
        paid = replace(agent, paid_by=payer)
        made[f"answer_paid_by_{payer}"] = VOICE.answer(paid, cards["completed"])[-1]
    for fate in ("received", "queued", "used"):
        made[f"mark_{fate}"] = VOICE.mark(agent, "5.1", fate)
    made["mark_removed"] = VOICE.mark(agent, "5.1", "received", present=False)
    made |= _questions(words, agent, cards["working"])
    later = replace(cards["completed"], number=2)
    made["answer_of_a_later_task"] = VOICE.answer(replace(agent, task_number=2), later)[-1]
    planned = replace(cards["planned"], outcome=Outcome.INTERRUPTED, evidence=_evidence(words))
    saved = SavedWork(_diff(words, 1), PATCH, card=planned)
    made["stopped_with_a_plan"] = VOICE.stopped(agent, "UBEN", 41, saved)
    made |= {f"card_{name}": VOICE.card(agent, card) for name, card in cards.items()}
    for name, card in cards.items():
        if card.outcome is not None:
            answers = VOICE.answer(agent, card)
            made |= {f"answer_{name}_{index}": post for index, post in enumerate(answers)}
    return made


def _leftovers(words: Words, agent: Agent) -> Mapping[str, Post]:
    """A stop that could not read everything, and what is said once it is read."""
    saved = {
        "patch": SavedWork(_diff(words, 1), b"", leftover=Leftover.PATCH),
        "patch_of_the_last_task": SavedWork(None, PATCH, leftover=Leftover.PATCH),
        "conversation": SavedWork(
            _diff(words, 1), PATCH, newest=True, leftover=Leftover.CONVERSATION
        ),
        "files": SavedWork(_diff(words, 1), b"", leftover=Leftover.FILES),
        "too_large": SavedWork(_diff(words, 1), PATCH, newest=True, fits=False),
        "diff": SavedWork(None, PATCH, newest=True),
    }
    made = {
        f"stopped_left_{name}": VOICE.stopped(agent, "UBEN", 41, s) for name, s in saved.items()
    }
    made["salvaged"] = VOICE.salvaged(agent, SavedWork(_diff(words, 1), PATCH, newest=True))
    made["salvaged_in_vain"] = VOICE.salvaged(agent, saved["files"])
    return made


def wire(text: str) -> str:
    """As it can come over the wire: UTF-8 has no halves of surrogate pairs."""
    return text.encode(errors="replace").decode()


def agent_of(words: Words) -> Agent:
    return Agent(
        id="k3f9ab",
        team="T1",
        channel="C1",
        thread_ts="1000.000001",
        repo=RepoRef("acme", "api"),
        source_branch=words.branch,
        target_branch="agent/k3f9ab-fix-the-flaky-test",
        title=words.title,
        model=words.model,
        max_steps=15,
        started_by="UANA",
        created_at=1_000.0,
        task_number=1,
        starter_name=words.name,
    )


def _cards(words: Words) -> Mapping[str, TaskCard]:
    new = TaskCard("k3f9ab-1", 1, started_at=1_000.0, now=1_002.1)
    tools = tuple(
        ToolLine(str(number), words.tool, words.short, number % 2 == 0, words.summary, 6.2)
        for number in range(7)
    )
    working = replace(
        new,
        model=words.model,
        step=4,
        max_steps=15,
        now=1_038.0,
        running=True,
        cost_usd=0.03,
        tokens=41_230,
        tools=(*tools, ToolLine("8", "edit_file", words.path)),
        tool_count=8,
    )
    files = (FileChange(path=wire(words.path)[:4_000], status="modified", added=14, removed=6),)
    ended = replace(
        working, running=False, files=files, answer=words.answer, now=1_112.0, cost_usd=0.11
    )
    error = WireError(code="model_unavailable", message=wire(words.error)[:2_000])
    failed = replace(ended, outcome=Outcome.FAILED, error=error)
    long = "\n".join(f"{number}. {words.answer[:300]}" for number in range(200))
    return {
        "new": new,
        "queued": replace(new, queued=2),
        "booting": replace(new, phases=(Phase("container", 0.3), Phase("clone"))),
        "working_first_step": replace(new, running=True, max_steps=15),
        "working": working,
        "working_waiting": replace(working, waiting=words.error),
        "planned": replace(working, plan=_plan(words)),
        "paused": replace(working, paused=True, waiting_since=1_030.0),
        "asking": replace(working, question=_asked(words), waiting_since=1_030.0),
        "checked": replace(ended, outcome=Outcome.COMPLETED, evidence=_evidence(words)),
        "unchecked": replace(ended, outcome=Outcome.COMPLETED, evidence=Evidence(changed=True)),
        "completed": replace(ended, outcome=Outcome.COMPLETED),
        "completed_silently": replace(ended, outcome=Outcome.COMPLETED, answer="", cost_usd=None),
        "completed_at_length": replace(ended, outcome=Outcome.COMPLETED, answer=long),
        "step_limit": replace(ended, outcome=Outcome.STEP_LIMIT, answer=""),
        "budget_limit": replace(
            ended,
            outcome=Outcome.BUDGET_LIMIT,
            answer="",
            error=WireError(code="budget_used", message=wire(words.error)[:2_000]),
        ),
        "day_budget_limit": replace(
            ended,
            outcome=Outcome.BUDGET_LIMIT,
            error=WireError(code="day_budget_used", message=wire(words.error)[:2_000]),
        ),
        "interrupted": replace(ended, outcome=Outcome.INTERRUPTED),
        "failed": replace(failed, answer=""),
        "failed_without_a_word": replace(failed, answer="", error=None, step=0, files=()),
    }


def _plan(words: Words) -> tuple[PlanItem, ...]:
    return tuple(
        PlanItem(text=wire(words.title)[:200] or "none", status=status) for status in PlanStatus
    )


def _evidence(words: Words) -> Evidence:
    tests = Check(
        command=wire(words.short)[:2_000],
        kind=CheckKind.TESTS,
        exit_code=0,
        duration_seconds=14.2,
        passed=212,
        failed=0,
        stale=False,
    )
    lint = Check(
        command="ruff check .",
        working_directory=wire(words.path)[:1_000],
        kind=CheckKind.LINT,
        exit_code=None,
        duration_seconds=30.0,
        stale=True,
    )
    return Evidence(checks=(tests, lint), changed=True)


def _asked(words: Words, **fields: Any) -> QuestionAsked:
    asked = QuestionAsked(
        task_id="k3f9ab-1",
        question_id="q1",
        call_id="c1",
        kind=QuestionKind.QUESTION,
        text=wire(words.title)[:2_000],
        options=("Postgres", (wire(words.summary)[:75].strip() or "none")),
        step=7,
    )
    return asked.model_copy(update=fields)


def _questions(words: Words, agent: Agent, card: TaskCard) -> Mapping[str, Post]:
    leave = _asked(
        words,
        kind=QuestionKind.APPROVAL,
        text=wire(words.short)[:2_000],
        options=(),
        working_directory=wire(words.path)[:1_000],
        reason=wire(words.error)[:1_000],
    )
    free = _asked(words, text=wire(words.answer)[:2_000], options=())
    said = Closed("UANA", (wire(words.summary)[:75].strip() or "none"), 1_040.0)
    made = {
        "question": VOICE.question(agent, card, _asked(words)),
        "question_in_words": VOICE.question(agent, card, free),
        "question_answered": VOICE.question(agent, card, _asked(words), said),
        "question_answered_by_message": VOICE.question(
            agent, card, free, Closed("UANA", at=1_040.0, by_message=True)
        ),
        "question_unanswered": VOICE.question(agent, card, _asked(words), Closed()),
        "approval": VOICE.question(agent, card, leave),
        "approval_by_message": VOICE.question(
            agent, card, leave, Closed("UANA", at=1_040.0, by_message=True)
        ),
    }
    for one in ApprovalChoice:
        closed = Closed("UANA", one.value, 1_040.0)
        made[f"approval_{one}"] = VOICE.question(agent, card, leave, closed)
    return made


def _diff(words: Words, count: int) -> Diff:
    change = FileChange(path=wire(words.path)[:4_000], status="modified", added=14, removed=6)
    return Diff(base_commit="c0ffee", files=(change,) * count, text="")
