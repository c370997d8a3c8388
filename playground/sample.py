"""The sample repositories: `demo/todo` with one failing test, and the private `demo/private`."""

README = """# todo

A to-do list for the terminal.

    python3 -m todo add "water the plants" --due 2026-05-01
    python3 -m todo list

Run the tests with `python3 -m unittest -v`.
"""

AGENTS = """# For agents

- Standard library only.
- Run `python3 -m unittest -v` after every change.
"""

ITEMS = '''"""A to-do list: items, what is open, what is overdue."""

from dataclasses import dataclass, field
from datetime import date


@dataclass
class Item:
    """One thing to do."""

    title: str
    due: date | None = None
    done: bool = False


def is_overdue(item: Item, today: date) -> bool:
    """An open item is overdue from the day after its due day."""
    return not item.done and item.due is not None and item.due <= today


@dataclass
class TodoList:
    """Items in the order in which they were added."""

    items: list[Item] = field(default_factory=list)

    def add(self, title: str, due: date | None = None) -> Item:
        title = title.strip()
        if not title:
            raise ValueError("an item needs a title")
        item = Item(title, due)
        self.items.append(item)
        return item

    def finish(self, title: str) -> Item:
        for item in self.items:
            if item.title == title and not item.done:
                item.done = True
                return item
        raise KeyError(title)

    def open_items(self) -> list[Item]:
        return [item for item in self.items if not item.done]

    def overdue(self, today: date) -> list[Item]:
        return [item for item in self.items if is_overdue(item, today)]
'''

MAIN = '''"""The command line."""

import argparse
from datetime import date
from pathlib import Path

from todo.storage import load, save

FILE = Path("todo.json")


def main() -> None:
    parser = argparse.ArgumentParser(prog="todo")
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("add")
    add.add_argument("title")
    add.add_argument("--due", type=date.fromisoformat)
    commands.add_parser("list")
    arguments = parser.parse_args()
    todo = load(FILE)
    if arguments.command == "add":
        todo.add(arguments.title, arguments.due)
        save(todo, FILE)
    late = todo.overdue(date.today())
    for item in todo.open_items():
        print("!" if item in late else "-", item.title)


if __name__ == "__main__":
    main()
'''

STORAGE = '''"""Keeping a list in a JSON file."""

import json
from datetime import date
from pathlib import Path

from todo.items import Item, TodoList


def load(path: Path) -> TodoList:
    if not path.exists():
        return TodoList()
    rows = json.loads(path.read_text())
    return TodoList([Item(r["title"], _date(r["due"]), r["done"]) for r in rows])


def save(todo: TodoList, path: Path) -> None:
    rows = [
        {"title": i.title, "due": i.due.isoformat() if i.due else None, "done": i.done}
        for i in todo.items
    ]
    path.write_text(json.dumps(rows, indent=2))


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
'''

TEST_ITEMS = """import unittest
from datetime import date, timedelta

from todo.items import TodoList

TODAY = date(2026, 5, 1)


class TodoListTest(unittest.TestCase):
    def setUp(self):
        self.todo = TodoList()

    def test_a_new_item_is_open(self):
        item = self.todo.add("water the plants")
        self.assertEqual(self.todo.open_items(), [item])

    def test_a_finished_item_is_not_open(self):
        self.todo.add("water the plants")
        self.todo.finish("water the plants")
        self.assertEqual(self.todo.open_items(), [])

    def test_an_empty_title_is_refused(self):
        with self.assertRaises(ValueError):
            self.todo.add("   ")

    def test_an_unknown_item_cannot_be_finished(self):
        with self.assertRaises(KeyError):
            self.todo.finish("nothing")

    def test_an_item_due_yesterday_is_overdue(self):
        item = self.todo.add("pay the rent", TODAY - timedelta(days=1))
        self.assertEqual(self.todo.overdue(TODAY), [item])

    def test_an_item_due_today_is_not_overdue(self):
        self.todo.add("pay the rent", TODAY)
        self.assertEqual(self.todo.overdue(TODAY), [])

    def test_a_finished_item_is_never_overdue(self):
        self.todo.add("pay the rent", TODAY - timedelta(days=9))
        self.todo.finish("pay the rent")
        self.assertEqual(self.todo.overdue(TODAY), [])


if __name__ == "__main__":
    unittest.main()
"""

TEST_STORAGE = """import tempfile
import unittest
from datetime import date
from pathlib import Path

from todo.items import TodoList
from todo.storage import load, save


class StorageTest(unittest.TestCase):
    def test_a_list_survives_saving_and_loading(self):
        todo = TodoList()
        todo.add("water the plants", date(2026, 5, 1))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "todo.json"
            save(todo, path)
            self.assertEqual(load(path), todo)

    def test_a_missing_file_is_an_empty_list(self):
        self.assertEqual(load(Path("/nonexistent/todo.json")), TodoList())
"""

TODO_FILES = {
    ".gitignore": "__pycache__/\ntodo.json\n",
    "AGENTS.md": AGENTS,
    "README.md": README,
    "tests/__init__.py": "",
    "tests/test_items.py": TEST_ITEMS,
    "tests/test_storage.py": TEST_STORAGE,
    "todo/__init__.py": "",
    "todo/__main__.py": MAIN,
    "todo/items.py": ITEMS,
    "todo/storage.py": STORAGE,
}
PRIVATE_FILES = {"README.md": "# private\n\nOnly who has the token can read this.\n"}
SAMPLES: dict[str, dict[str, str]] = {"demo/todo": TODO_FILES, "demo/private": PRIVATE_FILES}
