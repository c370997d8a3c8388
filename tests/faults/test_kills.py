"""The bot is killed again and again while agents work; their threads end complete all the same."""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from bot.slack.outbox.delivery import METADATA_TYPE
from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.model.scenarios import Scenarios
from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from playground.slack.slack_settings import SlackSettings
from tests.e2e.conftest import READY_SECONDS, ROOT, Deployment, deployed
from tests.faults.forked_bot import ForkedBot, bot_forks
from tests.faults.ledger import events_of_bridge, ledger

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow(155)]

ROUNDS = 4
KILLS_A_ROUND = 10
STEPS = 12
POSTS = 50
# Every second life is counted from the process's start; it needs about 1.5 s to be ready.
LONGEST_LIFE_SECONDS = 1.8
SHORTEST_LIFE_SECONDS = 0.2
REPLY = "and also mind the docs"
REPORT = "Twelve steps are done. " + " ".join(f"Line {n}." for n in range(20)) + " The end."
SENDER = Path(__file__).with_name("sender.py")
QUICK = {"RECONCILE_SECONDS": "1", "SLEEP_AFTER_SECONDS": "3600"}
SLACK = SlackSettings(limits_enabled=False, retry_delays_seconds=(0.0, 1.0, 2.0, 4.0, 8.0, 16.0))


def twelve_steps(conversation: ParsedConversation) -> ScriptedTurn:
    """Twelve looks at the repository, each with a remark, then a report in one long message."""
    if conversation.turn < STEPS:
        remark = f"Step {conversation.turn + 1} of {STEPS}: I look at the layout once more."
        return ScriptedTurn(
            remark, (ScriptedCall("search_files", {"pattern": f"line {conversation.turn}"}),)
        )
    return ScriptedTurn(
        REPORT + "".join(f"\n\nNoted: {said}" for said in conversation.task.steering)
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """A bot, and a model with twelve steps that takes its time."""
    model = ModelSettings(chunk_delay_seconds=0.08)
    async with (
        running(PlaygroundSettings(model=model, slack=SLACK)) as playground,
        bot_forks() as forks,
    ):
        _tell(playground.model.scenarios)
        data_dir: Path = tmp_path_factory.mktemp("data")
        bot_type = partial(ForkedBot, forks=forks)
        async with deployed(
            playground, data_dir, QUICK, bot_type=bot_type, end_signal=signal.SIGKILL
        ) as deployment:
            yield deployment


def minded(conversation: ParsedConversation) -> ScriptedTurn:
    """The answer to a reply that came too late to be taken up on the way."""
    return ScriptedTurn(f"Noted: {conversation.task.text}")


def _tell(scenarios: Scenarios) -> None:
    scenarios.add("twelve", twelve_steps, lambda c: "twelve steps" in c.task.text)
    scenarios.add("minded", minded, lambda c: c.task.text == REPLY)


@pytest.mark.timeout(420)
async def test_forty_kills_at_random_points_leave_every_thread_complete_in_order_and_nothing_twice(
    deployment: Deployment, leftovers: None
) -> None:
    seed = int(os.environ.get("KILLS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    print(f"KILLS_SEED={seed} repeats the lives of this run")  # noqa: T201  (shown when it fails)
    chance = random.Random(seed)
    kills_at_work = 0
    for number in range(ROUNDS):
        kills_at_work += await _round(deployment, number, chance)
    assert kills_at_work > ROUNDS * KILLS_A_ROUND / 2


async def _round(deployment: Deployment, number: int, chance: random.Random) -> int:
    """Two agents; returns how many of the kills came while one of them was at work."""
    ana = deployment.person("ana")
    at_work = 0
    threads = [
        await ana.say(f"demo/todo twelve steps, {number}.{n}", "dev", mention=True)
        for n in range(2)
    ]
    for kill in range(KILLS_A_ROUND):
        if kill == KILLS_A_ROUND // 2:
            await ana.say(REPLY, "dev", threads[0])
        if kill % 2 == 0:
            # Without any life that is long enough, the model would count as away for good.
            await deployment.bot.says("ready", READY_SECONDS)
        await asyncio.sleep(chance.uniform(SHORTEST_LIFE_SECONDS, LONGEST_LIFE_SECONDS))
        at_work += not all(_said(deployment, thread, "The end.") for thread in threads)
        await deployment.bot.end(signal.SIGKILL)
        await deployment.bot.spawn()
    await deployment.bot.says("ready", READY_SECONDS)
    for thread in threads:
        await deployment.wait_for_reply("The end.", thread, "dev", seconds=60)
    await deployment.wait_for_reply(f"Noted: {REPLY}", threads[0], "dev", seconds=60)
    logs = [events_of_bridge(container) for container in deployment.bot.containers()]
    # A bot that ends politely sends what is left to send.
    await deployment.bot.end()
    for thread in threads:
        found = ledger(deployment, thread, "dev")
        found.check()
        assert found.events in logs
        steps = [event for event in found.events if event["type"] == "tool_finished"]
        assert len(steps) == STEPS
        [report] = [m for m in found.shown if "Twelve steps are done" in m["text"]]
        assert report["blocks"][0]["text"].startswith(REPORT)
    assert _said(deployment, threads[0], REPLY) == 1
    await deployment.bot.start()
    for thread in threads:
        await ana.say("stop", "dev", thread)
        await deployment.wait_for_reply("Stopped by", thread, "dev")
    await deployment.no_containers()
    return at_work


def _said(deployment: Deployment, thread: str, words: str) -> int:
    """How many messages of the bot in this thread have these words."""
    shown = deployment.person().thread("dev", thread)
    return len([m for m in shown if m.get("bot_id") and words in str(m.get("blocks"))])


@pytest.mark.timeout(120)
async def test_fifty_kills_before_the_ts_is_stored_leave_one_copy_of_each_post(
    deployment: Deployment, tmp_path: Path
) -> None:
    """Each process finds what the one before it left behind, then dies over a post of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SLACK_API_URL": deployment.playground.slack_url,
    }
    channel = deployment.person().channel("general")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SENDER),
        *(str(tmp_path), channel.id, deployment.playground.bot_token, str(POSTS)),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    output, _ = await process.communicate()
    deaths = json.loads(output)
    assert deaths == [-signal.SIGKILL] * POSTS + [0]
    ours = [
        m
        for m in channel.messages.values()
        if (m.metadata or {}).get("event_type") == METADATA_TYPE
    ]
    copies = Counter(message.text for message in ours if message.text.startswith("post "))
    assert copies == Counter({f"post {number}": 1 for number in range(POSTS)})
    for root in (message for message in ours if not message.is_reply):
        said = [root.text, *(reply.text for reply in channel.replies(root.ts))]
        first = int(root.text.removeprefix("post "))
        assert said == [f"post {number}" for number in range(first, first + 5)]
