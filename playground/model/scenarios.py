"""Owns the scenarios of the scripted model: functions from a conversation to a turn."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from playground.model.feature_scenario import add_overdue, is_open
from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.model.pr_description import describe, is_asked
from playground.model.python_tests import commit, counts_in, line_counts, run_tests, tests_run
from playground.model.review_scenario import progress, review

Scenario = Callable[[ParsedConversation], ScriptedTurn]

MODEL_PREFIX = "scripted/"
BY_TASK = "scripted/scripted-model"  # the task chooses the scenario
LONG_STEPS = 200
LONG_SECONDS = 20
WRONG_LINE = "item.due <= today"
RIGHT_LINE = "item.due < today"
SOURCE_FILE = "todo/items.py"
KNOWN_TASKS = (
    "fix the failing test",
    "add an overdue command",
    "review every line of the code",
    "a long task",
)


@dataclass(frozen=True, slots=True)
class ScenarioRule:
    """A scenario, its name in `scripted/<name>`, and the condition on which a task chooses it."""

    name: str
    scenario: Scenario
    matches: Callable[[ParsedConversation], bool] = lambda _conversation: False


class Scenarios:
    """Chooses the scenario of a conversation. The last one that was added is tried first."""

    def __init__(self) -> None:
        self._rules: list[ScenarioRule] = list(BUILT_IN)

    def add(
        self,
        name: str,
        scenario: Scenario,
        matches: Callable[[ParsedConversation], bool] | None = None,
    ) -> None:
        """Register a scenario by name; with `matches` also by what the conversation says."""
        self._rules.insert(
            0, ScenarioRule(name, scenario, matches) if matches else ScenarioRule(name, scenario)
        )

    def names(self) -> list[str]:
        return [rule.name for rule in self._rules]

    def turn(self, model: str, conversation: ParsedConversation) -> ScriptedTurn:
        """The next turn; raises KeyError for `scripted/<unknown>`."""
        if is_asked(conversation):
            return describe(conversation)
        turn = self._turn(model, conversation)
        notes = conversation.task.notes
        if turn.calls and notes and "Call no tool" in notes[-1]:
            return _unfinished(conversation, notes[-1])
        return turn

    def _turn(self, model: str, conversation: ParsedConversation) -> ScriptedTurn:
        if model.startswith(MODEL_PREFIX) and model != BY_TASK:
            named = {rule.name: rule.scenario for rule in reversed(self._rules)}
            return named[model.removeprefix(MODEL_PREFIX)](conversation)
        for rule in self._rules:
            if rule.matches(conversation):
                return rule.scenario(conversation)
        return echo(conversation)


def sequence(*turns: ScriptedTurn) -> Scenario:
    """Make a scenario that ignores the results of tools: these turns, then the last one again."""
    return lambda conversation: turns[min(conversation.turn, len(turns) - 1)]


def echo(conversation: ParsedConversation) -> ScriptedTurn:
    """Answer with the name of the model and the question."""
    task = conversation.task
    lines = [
        "I am the playground's scripted model, not a language model: I answer from a script.",
        f"Your task was: {task.text or '(empty)'}",
        *(f"While I worked you said: {text}" for text in task.steering),
        f"I have scripts for: {', '.join(f'`{task}`' for task in KNOWN_TASKS)}.",
    ]
    return ScriptedTurn("\n\n".join(lines))


def fix_failing_test(conversation: ParsedConversation) -> ScriptedTurn:
    """Fix the sample repository's failing test: look, run, search, read, edit, run, diff, tell."""
    task = conversation.task
    steps = (
        ScriptedTurn(
            "I start with the layout of the repository and its README.",
            (
                ScriptedCall("list_directory", {"path": "."}),
                ScriptedCall("read_file", {"path": "README.md"}),
            ),
        ),
        ScriptedTurn("Now the tests, to see what fails.", (run_tests(),)),
        ScriptedTurn(
            "One test fails: an item due today counts as overdue. I look for the comparison.",
            (ScriptedCall("search_files", {"pattern": "overdue"}),),
        ),
        ScriptedTurn("", (ScriptedCall("read_file", {"path": SOURCE_FILE}),)),
        ScriptedTurn(
            "The comparison includes today. An item is overdue only after its day.",
            (
                ScriptedCall(
                    "edit_file",
                    {"path": SOURCE_FILE, "old_text": WRONG_LINE, "new_text": RIGHT_LINE},
                ),
            ),
        ),
        ScriptedTurn("I run the tests again.", (run_tests(),)),
        ScriptedTurn("", (ScriptedCall("git_diff", {"scope": "unstaged"}),)),
        *commit(conversation, "Count an item as overdue only after its day"),
    )
    if conversation.turn < len(steps):
        return steps[conversation.turn]
    return ScriptedTurn(
        _report(conversation) + "".join(f"\n\nNoted: {text}" for text in task.steering)
    )


def _report(conversation: ParsedConversation) -> str:
    """The final answer, with the numbers that the tools gave and no others."""
    runs = tests_run(conversation.task)
    diffs = conversation.task.results_of("git_diff")
    before, after = (runs[0], runs[-1]) if len(runs) > 1 else ("", "")
    ran_before, failed_before = counts_in(before)
    ran_after, failed_after = counts_in(after)
    if ran_after is None:
        return f"I could not run the tests. The last command said:\n\n```\n{after[-600:]}\n```"
    outcome = "all pass" if not failed_after else f"{failed_after} still fail"
    diff = diffs[-1].text if diffs else ""
    added, removed = line_counts(diff)
    return (
        f"`is_overdue` in `{SOURCE_FILE}` counted an item that is due today as overdue: it "
        f"compared with `<=`. I changed it to `<`.\n\n"
        f"- before: {ran_before or 0} tests, {failed_before} failed\n"
        f"- after: {ran_after} tests, {outcome}\n"
        f"- diff: +{added} −{removed} lines"  # noqa: RUF001 - the minus sign of the product
    )


def look_back(conversation: ParsedConversation) -> ScriptedTurn:
    """Answer a later task out of the history, after one look at the repository."""
    if conversation.turn == 0:
        return ScriptedTurn(
            "I check the state of the checkout first.", (ScriptedCall("git_status", {}),)
        )
    earlier = conversation.tasks[:-1]
    edited = [
        r.arguments.get("path", "?") for task in earlier for r in task.results_of("edit_file")
    ]
    files = ", ".join(f"`{path}`" for path in dict.fromkeys(edited)) or "no file"
    status = conversation.task.results[-1].text.strip() if conversation.task.results else ""
    steps = sum(len(task.results) for task in earlier)
    return ScriptedTurn(
        f"This is task {len(conversation.tasks)} of our thread. First you asked: "
        f"“{earlier[0].text[:200]}”. I made {steps} tool calls for that and edited {files}.\n\n"
        f"Now you say: “{conversation.task.text[:500]}”.\n\nThe checkout now:\n\n"
        f"```\n{status[:600]}\n```"
    )


def long_work(conversation: ParsedConversation) -> ScriptedTurn:
    """Work for a long time, one sleep after another, so that a person can stop it."""
    if conversation.turn >= LONG_STEPS:
        return ScriptedTurn("Nobody stopped me.")
    number = conversation.turn + 1
    code = f"import time; print('round {number}', flush=True); time.sleep({LONG_SECONDS})"
    return ScriptedTurn(
        f"Round {number}.",
        (ScriptedCall("run_command", {"command": ["python3", "-c", code]}),),
    )


def _unfinished(conversation: ParsedConversation, note: str) -> ScriptedTurn:
    """The answer when the steps are used up, begun as the note asks for it."""
    begin = re.search(r'begin your answer with "([^"]+)"', note)
    steps = len(conversation.task.turns)
    text = f"My script has more steps than I was given: {steps} are done, the rest is left."
    if _is_review(conversation):
        text = progress(conversation)
    return ScriptedTurn(f"{begin.group(1)} {text}" if begin else text)


def _says(pattern: str) -> Callable[[ParsedConversation], bool]:
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda conversation: compiled.search(conversation.task.text) is not None


def _began(pattern: str) -> Callable[[ParsedConversation], bool]:
    """Match the first task of the thread: such a scenario goes on in later tasks."""
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda conversation: compiled.search(conversation.tasks[0].text) is not None


_is_review = _began(r"\breview\b.*\bcode\b")
_is_feature = _began(r"\badd\b.*\boverdue\b.*\bcommand\b")


def _later_task(conversation: ParsedConversation) -> bool:
    return len(conversation.tasks) > 1 and "git_status" in conversation.tools


def _fixable(conversation: ParsedConversation) -> bool:
    return "edit_file" in conversation.tools and _says(r"\bfix\b.*\btests?\b")(conversation)


BUILT_IN = (
    ScenarioRule("fix", fix_failing_test, _fixable),
    ScenarioRule("feature", add_overdue, lambda c: _is_feature(c) and is_open(c)),
    ScenarioRule("review", review, _is_review),
    ScenarioRule("long", long_work, _says(r"\b(?:long|slow) (?:task|work|job)\b")),
    ScenarioRule("look-back", look_back, _later_task),
    ScenarioRule("echo", echo),
)
