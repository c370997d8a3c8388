"""The three demonstrations that the page starts with one click."""

from dataclasses import asdict, dataclass

from playground.slack.state import Json


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A command that one click sends, and what will be seen."""

    id: str
    title: str
    about: str
    watch: str
    text: str
    channel: str = "general"


DEMONSTRATIONS = (
    Demonstration(
        "fix",
        "Fix a failing test",
        "One of the tests of demo/todo fails. The agent finds out why and repairs it.",
        "Watch the card in the thread; the answer is the only notification.",
        "demo/todo fix the failing test",
    ),
    Demonstration(
        "feature",
        "Add a feature, with a question",
        "The agent reads the code, then asks how the new command should sort.",
        "Answer in the thread with one of the words it offers.",
        "demo/todo add an overdue command",
    ),
    Demonstration(
        "limit",
        "Run into a limit",
        "A long review that is given too little, so it is stopped on the way.",
        "It ends with what is done and what is left; a reply goes on.",
        "demo/todo --steps 6 review every line of the code",
    ),
)


def demonstrations() -> list[Json]:
    return [asdict(demonstration) for demonstration in DEMONSTRATIONS]
