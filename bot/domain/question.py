"""A question to people as data: what became of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Closed:
    """How a question was closed: by whom, with which words, when.

    Without a user nobody answered, and its task is over. `by_message`: the person wrote into the
    thread instead of pressing a button.
    """

    user: str = ""
    answer: str = ""
    at: float = 0.0
    by_message: bool = False
