"""The three demonstrations that the page starts with one click."""

from dataclasses import asdict, dataclass

from playground.slack.slack_state import Json


@dataclass(frozen=True, slots=True)
class Demo:
    """A command that one click sends, and what will be seen."""

    id: str
    title: str
    about: str
    watch: str
    text: str
    channel: str = "general"


DEMONSTRATIONS = (
    Demo(
        "fix",
        "Fix a failing test",
        "One of the tests of demo/todo fails. The agent finds out why, repairs it and commits.",
        "Watch the card change in place; its branch is pushed to the git host on the left.",
        "demo/todo fix the failing test and commit it",
    ),
    Demo(
        "feature",
        "Add a feature, with a question",
        "The agent reads the code, then asks how the new command should sort.",
        "Answer in the thread with one of the words it offers.",
        "demo/todo add an overdue command and commit it",
    ),
    Demo(
        "limit",
        "Run out of budget",
        "A long review that is given five cents, so it is stopped on the way.",
        "The money is counted before each call; a press of a button gives it more.",
        "demo/todo --budget 0.05 review every line of the code",
    ),
)


def demonstrations() -> list[Json]:
    return [asdict(demonstration) for demonstration in DEMONSTRATIONS]
