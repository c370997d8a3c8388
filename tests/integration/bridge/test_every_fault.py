"""Every fault of the scripted provider, in one real bridge process: what each of them becomes."""

from dataclasses import dataclass

import pytest

from bridge.protocol import (
    AgentEvent,
    ContextCompacted,
    MessageWritten,
    ModelRetried,
    Outcome,
    TaskFinished,
    ToolFinished,
)
from playground.event_feed import EventFeed
from playground.model.malformed_responses import HALF
from playground.model.response_faults import FAULTS
from playground.model.server import ModelSettings, ScriptedModel, model_running
from tests.integration.bridge.conftest import KEY, Client, running

COMPLETED, FAILED = Outcome.COMPLETED, Outcome.FAILED


@dataclass(frozen=True)
class Told:
    """What a person and the model get to hear of a fault that comes `times` in a row."""

    outcome: Outcome
    code: str = ""
    retried: tuple[str, ...] = ()
    kept: str = ""  # the part of the answer that stays
    compacted: int = 0
    results: tuple[tuple[str, bool], ...] = ()  # the tools that were called, and their success


def fails(code: str, *, kept: str = "", retried: bool = True) -> Told:
    return Told(FAILED, code, (code,) if retried else (), kept)


AUTH, PAYMENT = fails("model_auth", retried=False), fails("model_payment", retried=False)
REFUSED, DOWN = fails("model_refused", retried=False), fails("model_unavailable")
BAD, LATE = fails("model_bad_answer"), fails("model_timeout")
# Two tries are made; a fault that comes twice is therefore there to stay.
FOR_GOOD: dict[str, Told] = {
    "400": REFUSED,
    "401": AUTH,
    "402": PAYMENT,
    "403": REFUSED,
    "404": fails("model_not_found", retried=False),
    "408": LATE,
    "429": fails("model_rate_limited"),
    "500": DOWN,
    "502": DOWN,
    "503": DOWN,
    "json200": DOWN,
    "html200": BAD,
    "html502": DOWN,
    "empty": BAD,
    "blank": BAD,
    "onlyusage": BAD,
    "nofinish": fails("model_bad_answer", kept=HALF),
    "nofinish-call": BAD,
    "notjson": fails("model_bad_answer", kept=HALF),
    "cut": fails("model_unavailable", kept=HALF),
    "cut-early": DOWN,
    "cut-call": DOWN,
    "midstream": fails("model_unavailable", kept=HALF),
    "midstream-recorded": fails("model_refused", kept=HALF, retried=False),
    "midstream-call": DOWN,
    "filtered": fails("model_refused", kept=HALF, retried=False),
    "hang": LATE,
    "hang-midway": fails("model_timeout", kept=HALF),
    "keepalive": LATE,
    "length-silent": fails("model_bad_answer", retried=False),
}
# The answer is strange and the task goes on: the model hears of it and answers again.
PASSED_ON: dict[str, Told] = {
    "comments": Told(COMPLETED),
    "length": Told(COMPLETED, kept=HALF),
    "badarguments": Told(COMPLETED, results=(("read_file", False),)),
    "length-call": Told(COMPLETED, results=(("read_file", False),)),
    "noarguments": Told(COMPLETED, results=(("read_file", False),)),
    "unknowntool": Told(COMPLETED, results=(("launch_rocket", False),)),
    "sameids": Told(COMPLETED, results=(("list_directory", True), ("list_directory", True))),
}
TOO_LONG = {"context", "413"}
PASSING = {fault: told for fault, told in FOR_GOOD.items() if told.retried}


def heard(events: list[AgentEvent]) -> Told:
    last = events[-1]
    assert isinstance(last, TaskFinished)
    texts = [event.text for event in events if isinstance(event, MessageWritten)]
    calls = [event for event in events if isinstance(event, ToolFinished)]
    assert len({event.call_id for event in calls}) == len(calls)
    return Told(
        last.outcome,
        last.error.code if last.error else "",
        tuple(event.error.code for event in events if isinstance(event, ModelRetried)),
        HALF if any(text.startswith(HALF) for text in texts) else "",
        sum(isinstance(event, ContextCompacted) for event in events),
        tuple((event.tool, event.ok) for event in calls),
    )


class Agent:
    """One agent, and what it said of each task."""

    def __init__(self, client: Client, model: ScriptedModel) -> None:
        self.client = client
        self.model = model
        self._seq = 0
        self._number = 0

    async def told(self, fault: str = "", times: int = 1, text: str = "go on") -> Told:
        """Let a task run into the fault."""
        if fault:
            self.model.fail_next(fault, times)
        self._number += 1
        status, _ = await self.client.chat(self._number, model="scripted/echo", text=text)
        assert status == 202
        after = f"/agent/events?after={self._seq}"
        events = await self.client.events("task_finished", after)
        self._seq = events[-1].seq
        return heard(events)


def test_the_tables_name_every_fault() -> None:
    assert {*FOR_GOOD, *PASSED_ON, *TOO_LONG} == FAULTS


async def test_every_fault_is_one_clear_outcome_and_the_next_reply_works(
    environment: dict[str, str], workspace_body: dict[str, str]
) -> None:
    environment |= {
        "MODEL_PROGRESS_TIMEOUT_SECONDS": "0.4",
        "MODEL_MAX_ATTEMPTS": "2",
        "MODEL_RETRY_SECONDS": "0.01",
    }
    settings = ModelSettings(api_key=KEY, retry_after="0")
    async with model_running(settings, EventFeed()) as model:
        environment["OPENROUTER_BASE_URL"] = model.url
        async with running(environment) as (_, client):
            await client.post("/agent/workspace", workspace_body)
            agent = Agent(client, model)
            for_good, passing, passed_on = {}, {}, {}
            for fault, told in FOR_GOOD.items():
                for_good[fault] = await agent.told(fault, times=2 if told.retried else 1)
                assert await agent.told() == Told(COMPLETED), f"after {fault}"
            for fault in PASSING:
                passing[fault] = await agent.told(fault)
            for fault in PASSED_ON:
                passed_on[fault] = await agent.told(fault)
            _, status = await client.get("/agent/status")
    assert for_good == FOR_GOOD
    assert passing == {
        fault: Told(COMPLETED, retried=told.retried) for fault, told in PASSING.items()
    }
    assert passed_on == PASSED_ON
    assert status["status"] == "idle"


@pytest.mark.parametrize("fault", sorted(TOO_LONG))
async def test_a_prompt_that_is_too_long_is_made_shorter_once(
    environment: dict[str, str], workspace_body: dict[str, str], fault: str
) -> None:
    async with model_running(ModelSettings(api_key=KEY), EventFeed()) as model:
        environment["OPENROUTER_BASE_URL"] = model.url
        async with running(environment) as (_, client):
            await client.post("/agent/workspace", workspace_body)
            agent = Agent(client, model)
            long = "a long request " * 1_000
            assert await agent.told(text=long) == Told(COMPLETED)
            # The second one meets the summary's own call, the third the call after it.
            again = await agent.told(fault, times=3)
            assert await agent.told(text=long) == Told(COMPLETED)
            once = await agent.told(fault)
            kept = model.requests[-1].messages
    assert again == Told(FAILED, "context_overflow", compacted=1)
    assert once == Told(COMPLETED, compacted=1)
    assert "a long request" in str(kept[1])


@pytest.mark.parametrize("fault", ["hang", "hang-midway", "keepalive"])
async def test_an_interrupt_takes_effect_inside_a_streaming_call(
    environment: dict[str, str], workspace_body: dict[str, str], fault: str
) -> None:
    feed = EventFeed()
    async with model_running(ModelSettings(api_key=KEY), feed) as model:
        environment["OPENROUTER_BASE_URL"] = model.url
        async with running(environment) as (_, client):
            await client.post("/agent/workspace", workspace_body)
            model.fail_next(fault)
            await client.chat(1, model="scripted/echo")
            if fault == "hang-midway":
                await client.frames("text_delta")
            else:
                await feed.until(lambda: feed.entries("model_request"))
            await client.post("/agent/interrupt")
            events = await client.events("task_finished")
            last = events[-1]
            assert isinstance(last, TaskFinished)
            assert last.outcome is Outcome.INTERRUPTED
            assert heard(events).kept == (HALF if fault == "hang-midway" else "")
            await client.chat(2)
            again = await client.events("task_finished", f"/agent/events?after={last.seq}")
    assert heard(again) == Told(COMPLETED)
