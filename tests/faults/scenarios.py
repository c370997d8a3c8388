"""What people do with an agent while its bot dies again and again, told so that it ends whole.

A tale that waits for something visible goes on when it is there, whoever had to die for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.model.scenarios import RIGHT_LINE, SOURCE_FILE, WRONG_LINE, Scenarios
from playground.slack.user_client import UserClient
from tests.e2e.conftest import Deployment, Json
from tests.faults.ledger import Ledger

CHANNEL = "dev"
# For what takes many deaths; nobody waits so long otherwise.
PATIENCE_SECONDS = 90.0
REPLY = "and mind the docs"
QUESTION = "Which of the two lines?"
EDIT = ScriptedCall(
    "edit_file", {"path": SOURCE_FILE, "old_text": WRONG_LINE, "new_text": RIGHT_LINE}
)


@dataclass(frozen=True, slots=True)
class CrashScenario:
    """`run` returns the thread when everything has happened; `said` is what it then shows once."""

    run: Callable[[Deployment, int], Awaitable[str]]
    said: tuple[str, ...]
    outcomes: tuple[str, ...]

    def check(self, found: Ledger) -> None:
        """The thread is complete, in order, and nothing is twice."""
        found.check()
        ended = [event for event in found.events if event["type"] == "task_finished"]
        assert tuple(event["outcome"] for event in ended) == self.outcomes
        shown = [message["text"] + str(message.get("blocks")) for message in found.shown]
        places = [[n for n, text in enumerate(shown) if words in text] for words in self.said]
        assert [len(found) for found in places] == [1] * len(self.said), shown
        assert places == sorted(places), shown


def _edits(conversation: ParsedConversation) -> ScriptedTurn:
    calls = (EDIT, ScriptedCall("git_diff", {}))
    if conversation.turn < len(calls):
        return ScriptedTurn("One thing after the other.", (calls[conversation.turn],))
    return ScriptedTurn("It is edited.")


def _minds(conversation: ParsedConversation) -> ScriptedTurn:
    return ScriptedTurn("Noted: the docs are minded.")


def _asks(conversation: ParsedConversation) -> ScriptedTurn:
    calls = (
        ScriptedCall("ask_user", {"question": QUESTION, "options": ["the first", "the last"]}),
        EDIT,
    )
    if conversation.turn < len(calls):
        return ScriptedTurn("First I ask.", (calls[conversation.turn],))
    return ScriptedTurn("It is chosen and edited.")


def add_scenarios(scenarios: Scenarios) -> None:
    """Let the scripted model know its part in each tale."""
    scenarios.add("edits", _edits, lambda c: "edit once" in c.task.text)
    scenarios.add("minds", _minds, lambda c: c.task.text == REPLY)
    scenarios.add("asks", _asks, lambda c: "ask and edit" in c.task.text)


async def _edited_and_stopped(deployment: Deployment, number: int) -> str:
    """A start, a reply and a stop, each sent when the one before has its answer."""
    ana = deployment.person("ana")
    thread = await ana.say(f"demo/todo edit once, {number}", CHANNEL, mention=True)
    await _said(deployment, "It is edited.", thread)
    await ana.say(REPLY, CHANNEL, thread)
    await _said(deployment, "the docs are minded", thread)
    await _stopped(deployment, thread)
    await deployment.playground.feed.until(
        lambda: [m for m in ana.thread(CHANNEL, thread) if m.get("files")] or None,
        PATIENCE_SECONDS,
    )
    return thread


async def _asked_and_published(deployment: Deployment, number: int) -> str:
    """A question, its answer, a quieter thread, a pull request, an undo, a stop."""
    ana = deployment.person("ana")
    pulls = deployment.playground.git.api.pulls.setdefault("demo/todo", [])
    before = len(pulls)
    thread = await ana.say(f"demo/todo ask and edit, {number}", CHANNEL, mention=True)
    await _said(deployment, QUESTION, thread)
    await ana.say("the last", CHANNEL, thread)
    answer = await _said(deployment, "It is chosen and edited.", thread)
    await ana.say("verbosity: quiet", CHANNEL, thread)
    await _said(deployment, "Quiet from now on", thread)
    await _clicked(ana, "agent_pull", answer["ts"])
    await deployment.playground.feed.until(lambda: pulls[before:] or None, PATIENCE_SECONDS)
    await _said(deployment, "Pull request", thread)
    await _clicked(ana, "agent_undo", answer["ts"])
    await _said(deployment, "undid the last task", thread)
    await _stopped(deployment, thread)
    assert len(pulls) == before + 1
    return thread


async def _stopped(deployment: Deployment, thread: str) -> None:
    await deployment.person("ana").say("stop", CHANNEL, thread)
    await _said(deployment, "Stopped by", thread)


async def _clicked(person: UserClient, action: str, ts: str) -> None:
    """Slack sends a click once, so a person whose click failed waits a moment and clicks again."""
    while not (await person.click(action, CHANNEL, ts)).ok:
        await asyncio.sleep(0.5)


async def _said(deployment: Deployment, words: str, thread: str) -> Json:
    return await deployment.wait_for_reply(words, thread, CHANNEL, seconds=PATIENCE_SECONDS)


SCENARIOS = (
    CrashScenario(
        _edited_and_stopped,
        ("It is edited.", "the docs are minded", "Stopped by"),
        ("completed", "completed"),
    ),
    CrashScenario(
        _asked_and_published,
        ("It is chosen and edited.", "Quiet from now on", "undid the last task", "Stopped by"),
        ("completed",),
    ),
)
