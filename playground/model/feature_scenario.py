"""Plays a small feature: look, ask one question, build what was answered, test, report."""

from playground.model.parsed_conversation import (
    ParsedConversation,
    ScriptedCall,
    ScriptedTask,
    ScriptedTurn,
)
from playground.model.python_tests import commit, counts_in, line_counts, run_tests, tests_run

MAIN_FILE = "todo/__main__.py"
TEST_FILE = "tests/test_overdue.py"
QUESTION = "In which order should `overdue` list the items?"
CHOICES = {"oldest": "the longest overdue first", "added": "in the order in which they were added"}
ORDERS = {"oldest": "sorted(late, key=lambda item: item.due)", "added": "late"}
LOOK = (
    ScriptedTurn(
        "I look at what is there before I add anything.",
        (
            ScriptedCall("list_directory", {"path": "."}),
            ScriptedCall("read_file", {"path": "AGENTS.md"}),
        ),
    ),
    ScriptedTurn(
        "",
        (
            ScriptedCall("read_file", {"path": MAIN_FILE}),
            ScriptedCall("read_file", {"path": "todo/items.py"}),
        ),
    ),
)
OLD_COMMAND = '    commands.add_parser("list")\n'
NEW_COMMAND = '    commands.add_parser("list")\n    commands.add_parser("overdue")\n'
OLD_LOOP = "    late = todo.overdue(date.today())\n"
NEW_LOOP = """    if arguments.command == "overdue":
        print("\\n".join(overdue_lines(todo, date.today())))
        return
    late = todo.overdue(date.today())
"""
OLD_HEAD = 'FILE = Path("todo.json")\n'
NEW_HEAD = '''FILE = Path("todo.json")


def overdue_lines(todo: TodoList, today: date) -> list[str]:
    """What is overdue, one line an item: {about}."""
    late = todo.overdue(today)
    return [f"{{item.due}} {{item.title}}" for item in {order}]
'''
TEST = """import unittest
from datetime import date

from todo.__main__ import overdue_lines
from todo.items import TodoList

TODAY = date(2026, 5, 1)


class OverdueTest(unittest.TestCase):
    def test_items_are_listed_{choice}(self):
        todo = TodoList()
        todo.add("pay the rent", date(2026, 4, 20))
        todo.add("water the plants", date(2026, 4, 2))
        todo.add("call home", date(2026, 6, 1))
        self.assertEqual(
            overdue_lines(todo, TODAY),
            [{lines}],
        )

    def test_nothing_overdue_is_no_line(self):
        self.assertEqual(overdue_lines(TodoList(), TODAY), [])
"""
RENT, PLANTS = '"2026-04-20 pay the rent"', '"2026-04-02 water the plants"'


def add_overdue(conversation: ParsedConversation) -> ScriptedTurn:
    """Ask in the final answer and go on with the reply; or ask by a tool, where there is one."""
    task = conversation.task
    if len(conversation.tasks) > 1:
        return _built(conversation, conversation.turn, choice_in(task.text))
    if conversation.turn < len(LOOK):
        return LOOK[conversation.turn]
    if "ask_user" not in conversation.tools:
        return ScriptedTurn(_question())
    asked = task.results_of("ask_user")
    if not asked:
        question = {"question": QUESTION, "options": list(CHOICES)}
        return ScriptedTurn(
            "One question before I write it.", (ScriptedCall("ask_user", question),)
        )
    return _built(conversation, conversation.turn - len(LOOK) - 1, choice_in(asked[-1].text))


def is_open(conversation: ParsedConversation) -> bool:
    """Check whether the scenario goes on: it ends with the task after the question."""
    asks_once = "ask_user" in conversation.tools
    return len(conversation.tasks) <= (1 if asks_once else 2)


def choice_in(answer: str) -> str:
    """The choice that an answer means; the first one when it names none."""
    return "added" if "added" in answer.lower() else "oldest"


def _question() -> str:
    choices = "\n".join(f"- `{word}`: {about}" for word, about in CHOICES.items())
    return (
        "I know where it goes: a sub-command in `todo/__main__.py`, on top of "
        f"`TodoList.overdue`. One question before I write it.\n\n**{QUESTION}**\n\n{choices}\n\n"
        "Reply with one of the words. Nothing is changed yet."
    )


def _built(conversation: ParsedConversation, step: int, choice: str) -> ScriptedTurn:
    lines = (PLANTS, RENT) if choice == "oldest" else (RENT, PLANTS)
    name = "oldest_first" if choice == "oldest" else "as_added"
    test = TEST.format(choice=name, lines=", ".join(lines))
    head = NEW_HEAD.format(about=CHOICES[choice], order=ORDERS[choice])
    steps = (
        ScriptedTurn(
            f"So: {CHOICES[choice]}. The import and the function come first.",
            (
                _edit("from todo.storage", "from todo.items import TodoList\nfrom todo.storage"),
                _edit(OLD_HEAD, head),
            ),
        ),
        ScriptedTurn("", (_edit(OLD_COMMAND, NEW_COMMAND), _edit(OLD_LOOP, NEW_LOOP))),
        ScriptedTurn(
            "Now a test for it.",
            (ScriptedCall("write_file", {"path": TEST_FILE, "content": test}),),
        ),
        ScriptedTurn("", (run_tests("tests.test_overdue"),)),
        ScriptedTurn("And all tests, to see that nothing else broke.", (run_tests(),)),
        ScriptedTurn("", (ScriptedCall("git_diff", {"scope": "unstaged"}),)),
        *commit(conversation, "Add a command that lists what is overdue"),
    )
    return steps[step] if step < len(steps) else ScriptedTurn(_report(conversation.task, choice))


def _edit(old: str, new: str) -> ScriptedCall:
    return ScriptedCall("edit_file", {"path": MAIN_FILE, "old_text": old, "new_text": new})


def _report(task: ScriptedTask, choice: str) -> str:
    """Describe what was built, with the numbers that the tools gave."""
    runs = [counts_in(text) for text in tests_run(task)]
    if len(runs) < 2 or runs[0][0] is None or runs[-1][0] is None:  # noqa: PLR2004 - two runs
        return "I could not run the tests, so I cannot say that it works. The code is written."
    (own, own_failed), (ran, failed) = runs[0], runs[-1]
    diffs = task.results_of("git_diff")
    added, removed = line_counts(diffs[-1].text if diffs else "")
    outcome = (
        "all pass" if not failed else f"{failed} fails, as it did before: it is not part of this"
    )
    return (
        f"`python3 -m todo overdue` lists what is overdue, {CHOICES[choice]}.\n\n"
        "| what | result |\n|---|---|\n"
        f"| new tests | {own}, {'all pass' if not own_failed else f'{own_failed} fail'} |\n"
        f"| all tests | {ran}, {outcome} |\n"
        f"| `{MAIN_FILE}` | +{added} −{removed} |\n"  # noqa: RUF001 - the product's minus sign
        f"| `{TEST_FILE}` | new |"
    )
