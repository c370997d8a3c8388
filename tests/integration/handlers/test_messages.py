from dataclasses import replace

import pytest

from bot.domain.agent import AgentStatus
from bridge.protocol import ChatMode
from playground.slack.slack_state import BOT_USER_ID, SlackMessage
from tests.integration.handlers.conftest import Office


async def test_a_mention_starts_one_agent_though_it_arrives_twice(office: Office) -> None:
    agent, ts = await office.in_thread("acme/api fix &lt;b&gt; in <https://x.invalid|x.invalid>")
    await office.settle()
    assert len(await office.harness.store.agents(alive=False)) == 1
    assert (agent.thread_ts, agent.title) == (ts, "fix <b> in x.invalid")


async def test_a_mention_inside_a_thread_that_exists_starts_an_agent_there(office: Office) -> None:
    ts = await office.person("ana").say("the build is red")
    await office.person("ben").say("acme/api fix it", thread_ts=ts, mention=True)
    (agent,) = await office.agents()
    assert (agent.thread_ts, agent.started_by) == (ts, "U00000BEN")


@pytest.mark.parametrize("twice", [True, False])
async def test_a_mention_with_a_file_counts_once_whichever_events_it_arrives_as(
    office: Office, twice: bool
) -> None:
    if not twice:
        office.slack.settings = replace(office.slack.settings, events=frozenset({"message"}))
    ana = office.person("ana")
    await ana.upload("a.txt", b"x", f"<@{BOT_USER_ID}> lst")
    await ana.wait_for_ephemeral("Unknown word")
    ts = await ana.upload("b.txt", b"x", f"<@{BOT_USER_ID}> acme/api fix it")
    (agent,) = await office.agents()
    await office.settle()
    assert (agent.thread_ts, agent.title) == (ts, "fix it")
    assert len(await office.harness.store.agents(alive=False)) == 1
    greeting, refusal = (one.text for one in ana.ephemerals())
    assert greeting.startswith("I start a coding agent")
    assert refusal.startswith("Unknown word")


async def test_a_direct_message_needs_no_mention(office: Office) -> None:
    ts = await office.person("ana").say("acme/api fix it", "@")
    (agent,) = await office.agents()
    assert agent.thread_ts == ts


@pytest.mark.parametrize("text", ["", "help", "lst"])
async def test_a_mention_without_a_task_is_answered_privately(office: Office, text: str) -> None:
    await office.person("ana").say(text, mention=True)
    said = "Unknown word" if text == "lst" else "Start an agent"
    await office.person("ana").wait_for_ephemeral(said)


async def test_talk_that_is_not_for_us_is_met_with_silence(office: Office) -> None:
    ts = await office.person("ana").say("acme/api fix it")
    await office.person("ben").say("stop", thread_ts=ts)
    await office.person("ben").say("acme/api fix it", thread_ts=ts)
    await office.settle()
    assert not await office.harness.store.agents(alive=False)
    assert not office.person("ana").ephemerals()
    assert not office.person("ben").ephemerals()


async def test_replies_reach_the_agent_with_and_without_a_mention(office: Office) -> None:
    _, root = await office.in_thread()
    ben = office.person("ben")
    await ben.say("use &lt;pytest&gt;", thread_ts=root)
    await office.harness.asked("chat", 1)
    await ben.say("and ruff", thread_ts=root, mention=True)
    await office.harness.asked("chat", 2)
    await ben.say("queue: then mypy", thread_ts=root, broadcast=True)
    await office.harness.asked("chat", 3)
    await office.settle()
    bodies = office.harness.bridge.bodies("chat")
    assert [body.text for body in bodies] == ["use <pytest>", "and ruff", "then mypy"]
    assert bodies[2].mode is ChatMode.QUEUE


async def test_a_reply_with_a_file_is_a_reply(office: Office) -> None:
    _, root = await office.in_thread()
    await office.person("ben").upload("a.txt", b"x", "see the file", thread_ts=root)
    await office.harness.asked("chat")
    assert office.harness.bridge.bodies("chat")[0].text.startswith("see the file\n")


async def test_edits_deletions_and_other_bots_are_not_replies(office: Office) -> None:
    _, root = await office.in_thread()
    ben, slack = office.person("ben"), office.slack
    first = await ben.say("one", thread_ts=root)
    await office.harness.asked("chat")
    await ben.edit("general", first, "one, edited")
    await ben.delete("general", first)
    other = SlackMessage("C0GENERAL0", slack.state.next_ts(), "U0OTHERBOT", "beep", thread_ts=root)
    slack.post(replace(other, bot_id="B0OTHERBOT", subtype="bot_message"))
    slack.post(replace(other, ts=slack.state.next_ts(), bot_id="B0OTHERBOT"))
    slack.post(replace(other, ts=slack.state.next_ts(), user=BOT_USER_ID))
    await ben.say("two", thread_ts=root)
    await office.harness.asked("chat", 2)
    await office.settle()
    assert [body.text for body in office.harness.bridge.bodies("chat")] == ["one", "two"]


@pytest.mark.parametrize("word", ["stop", "Stop!", " STOP. "])
async def test_the_word_stop_stops(office: Office, word: str) -> None:
    agent, root = await office.in_thread()
    await office.person("ben").say(word, thread_ts=root)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    assert not office.harness.bridge.bodies("chat")


async def test_a_word_that_only_begins_like_stop_does_not_stop(office: Office) -> None:
    agent, root = await office.in_thread()
    await office.person("ben").say("stop using print", thread_ts=root)
    await office.harness.asked("chat")
    stored = await office.harness.stored(agent.id)
    assert stored.alive


async def test_a_reply_after_the_end_is_answered_in_the_thread(office: Office) -> None:
    agent, root = await office.in_thread()
    await office.person("ben").say("stop", thread_ts=root)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    ts = await office.person("ben").say("are you there?", thread_ts=root)
    await office.harness.changes.found(lambda: _shown(office, agent.id, f"trouble:late:{ts}"))


@pytest.mark.parametrize("where", ["root", "reply", "skin"])
async def test_the_stop_reaction_works_on_any_message_of_the_thread(
    office: Office, where: str
) -> None:
    agent, ts = await office.in_thread()
    if where == "reply":
        ts = await office.person("ben").say("go on", thread_ts=ts)
    name = "octagonal_sign::skin-tone-2" if where == "skin" else "octagonal_sign"
    await office.person("ben").react("general", ts, name)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)


async def test_other_reactions_and_other_threads_stop_nothing(office: Office) -> None:
    agent, root = await office.in_thread()
    elsewhere = await office.person("ana").say("hello")
    await office.person("ben").react("general", root, "eyes")
    await office.person("ben").react("general", elsewhere, "octagonal_sign")
    await office.settle()
    stored = await office.harness.stored(agent.id)
    assert stored.alive
    assert not office.person("ben").ephemerals()


async def test_the_shortcut_stops_from_any_message_of_the_thread(office: Office) -> None:
    agent, root = await office.in_thread()
    reply = await office.person("ben").say("go on", thread_ts=root)
    await office.person("ben").shortcut("stop_agent", "general", reply)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)


async def _shown(office: Office, agent_id: str, key: str) -> object:
    return (await office.harness.shown(agent_id)).get(key)
