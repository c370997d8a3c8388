"""A task of 300 steps in a context of 32k tokens, in a real bridge process."""

import json
import re
import statistics
from itertools import pairwise

from bridge.config import BridgeSettings
from bridge.protocol import (
    AgentEvent,
    ContextCompacted,
    MessageWritten,
    ModelRetried,
    Outcome,
    TaskFinished,
    UsageRecorded,
)
from playground.event_feed import EventFeed
from playground.model.catalog import SMALL_WINDOW, context_length
from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.model.server import ModelSettings, model_running
from tests.integration.bridge.conftest import KEY, running

STEPS = 300
PORT, CODENAME = "port 47115", "heron-42"
TASK = f"Walk through the notes. The service listens on {PORT}; keep that in mind."
LEARNED_AT = 8  # the step that reads the file with the code name


class Walker:
    """Reads one note after another; what it knows, it knows from its prompt and nowhere else."""

    def __init__(self) -> None:
        self.steps = 0
        self.summaries = 0
        self.forgotten: list[tuple[int, str]] = []

    def __call__(self, conversation: ParsedConversation) -> ScriptedTurn:
        prompt = json.dumps(conversation.messages)
        last = str(conversation.messages[-1].get("content"))
        if "replaced by a summary that you write now" in last:
            self.summaries += 1
            known = [fact for fact in (PORT, CODENAME) if fact in prompt]
            return ScriptedTurn(f"Task: walk through the notes. Known: {', '.join(known)}.")
        if "What did you learn" in last:
            match = re.search(r"heron-\d+", prompt)
            port = re.search(r"port \d+", prompt)
            return ScriptedTurn(f"{match and match[0]} on {port and port[0]}")
        self.steps += 1
        wanted = (PORT, CODENAME) if self.steps > LEARNED_AT + 1 else (PORT,)
        self.forgotten += [(self.steps, fact) for fact in wanted if fact not in prompt]
        if self.steps == STEPS:
            return ScriptedTurn("All notes are read.")
        name = "secret.txt" if self.steps == LEARNED_AT else f"note_{self.steps % 7}.txt"
        text = f"Step {self.steps}: I read {name}." * (1 + self.steps % 3)
        return ScriptedTurn(
            text, (ScriptedCall("read_file", {"path": "./" * (self.steps % 5) + name}),)
        )


async def test_300_steps_in_a_small_window(
    environment: dict[str, str], workspace_body: dict[str, str], settings: BridgeSettings
) -> None:
    walker = Walker()
    async with model_running(ModelSettings(api_key=KEY), EventFeed(kept_entries=1)) as model:
        model.scenarios.add("walk", walker, lambda _conversation: True)
        environment["OPENROUTER_BASE_URL"] = model.url
        async with running(environment) as (_, client):
            await client.post("/agent/workspace", workspace_body)
            for number in range(7):
                lines = (f"note {number} line {line} of plain text\n" for line in range(40))
                (settings.workspace_dir / f"note_{number}.txt").write_text("".join(lines))
            (settings.workspace_dir / "secret.txt").write_text(f"The code name is {CODENAME}.\n")
            await client.execute(text=TASK, model=SMALL_WINDOW, max_steps=STEPS)
            events = await client.events("task_finished")
            await client.chat(1, text="What did you learn?")
            after = f"/agent/events?after={events[-1].seq}"
            answer = await client.events("task_finished", after)
            _, saved = await client.get("/agent/conversation")
    last = events[-1]
    assert isinstance(last, TaskFinished)
    assert last.outcome is Outcome.COMPLETED, last.error
    assert walker.forgotten == []
    texts = [event.text for event in answer if isinstance(event, MessageWritten)]
    assert texts == [f"{CODENAME} on {PORT}"]
    assert not [event for event in events if isinstance(event, ModelRetried)]
    compactions = [event for event in events if isinstance(event, ContextCompacted)]
    assert len(compactions) == walker.summaries > 3
    assert all(event.by_model for event in compactions)
    assert all(event.tokens_after < event.tokens_before * 0.75 for event in compactions)
    check_the_money(events)
    # The whole history is still there, and the summary goes with it.
    assert sum(message["role"] == "tool" for message in saved["messages"]) == STEPS - 1
    assert CODENAME in saved["summary"]


def check_the_money(events: list[AgentEvent]) -> None:
    counted = [event for event in events if isinstance(event, UsageRecorded | ContextCompacted)]
    calls = [event for event in counted if isinstance(event, UsageRecorded)]
    assert max(call.prompt_tokens for call in calls) < context_length(SMALL_WINDOW)
    costs = [call.cost_usd or 0.0 for call in calls]
    early, late = statistics.fmean(costs[100:150]), statistics.fmean(costs[-50:])
    assert late < early * 1.2, (early, late)
    # A prompt that follows upon a compaction is a new one; every other one is mostly known.
    between = [
        call
        for before, call in pairwise(counted)
        if isinstance(call, UsageRecorded) and isinstance(before, UsageRecorded)
    ]
    cached = sum(call.cached_tokens for call in between)
    share = cached / sum(call.prompt_tokens for call in between)
    assert share >= 0.8, share
