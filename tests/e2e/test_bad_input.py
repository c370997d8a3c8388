"""Bad input on real parts: a clear, private sentence, and nothing left behind."""

import pytest

from playground.slack.slack_state import BOT_USER_ID, SlackMessage
from tests.e2e.conftest import Deployment, Json

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


def roots(deployment: Deployment, channel: str = "general") -> list[Json]:
    shown = deployment.person().channel_messages(channel)
    return [message for message in shown if message["user"] == BOT_USER_ID]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lst", "/agent list"),
        ("demo/todo", "What should be done"),
        ("../x go", "is not a repository"),
        ("-x/y go", "is not a repository"),
        ("https://example.test/demo/todo go", "not by an address"),
        ("git@example.test:demo/todo.git go", "not by an address"),
        ("demo/nothing go", "Could not clone `demo/nothing`"),
        ("demo/todo@missing go", "no branch"),
        ("demo/todo --model nobody/knows go", "nobody/knows"),
        ("demo/todo --model example/no-tools go", "tool"),
        ("demo/todo --steps 0 go", "1 to 50"),
        ("demo/todo " + "x" * 40_000, "the limit is"),
        ("stop zzzzzz", "There is no agent"),
        ("status", "No agent runs in this channel"),
    ],
    ids=lambda value: value[:24],
)
async def test_a_command_that_cannot_be_obeyed(
    deployment: Deployment, leftovers: None, text: str, says: str
) -> None:
    ana = deployment.person("ana")
    before, seen = len(roots(deployment)), len(ana.ephemerals())
    assert (await ana.slash("/agent", text)).ok
    await deployment.playground.feed.until(lambda: len(ana.ephemerals()) > seen or None)
    assert says in ana.ephemerals()[-1].text
    assert len(roots(deployment)) == before


async def test_a_channel_without_the_bot_gets_the_exact_invitation(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/todo fix the failing test", "random")
    told = await ana.wait_for_ephemeral("/invite @threadsmith", timeout_seconds=20)
    assert told.channel == "C000RANDOM"


async def test_a_bare_command_opens_a_form_that_checks_what_is_typed(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "")
    await ana.wait_for_view("Start an agent")
    refused = await ana.submit_view({"repo": "not a repository", "task": "go"})
    assert isinstance(refused.answer, dict)
    assert "owner/name" in refused.answer["errors"]["repo"]
    assert len(ana.views()) == 1
    await ana.submit_view({"repo": "demo/todo", "task": "say something from the form"})
    root = await deployment.wait_for_root("say something from the form")
    await deployment.wait_for_reply("scripted model", root["ts"])
    await ana.react("general", root["ts"], "octagonal_sign")
    await deployment.wait_for_reply("Stopped by", root["ts"])
    await deployment.no_containers()


async def test_one_command_delivered_twice_starts_one_agent(
    deployment: Deployment, leftovers: None
) -> None:
    ana, slack = deployment.person("ana"), deployment.playground.slack
    place = ana.channel("dev")
    grants = slack.trigger_tokens.both(ana.user.id, place.id)
    payload = slack.payloads.slash_command(ana.user, place, "/agent", "demo/todo only once", grants)
    await slack.delivery.ask("slash_commands", payload)
    await slack.delivery.ask("slash_commands", payload)
    root = await deployment.wait_for_root("only once", "dev")
    await deployment.wait_for_reply("scripted model", root["ts"], "dev")
    assert len([r for r in roots(deployment, "dev") if "only once" in r["text"]]) == 1
    assert len(deployment.bot.containers()) == 1
    await ana.say("stop", "dev", root["ts"])
    await deployment.no_containers()


async def test_a_mention_arrives_as_two_events_and_a_reply_twice_and_each_has_one_effect(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    deployment.playground.slack.faults.event("app_mention", "twice")
    thread = await ana.say("demo/todo say hello", "dev", mention=True)
    await deployment.wait_for_reply("scripted model", thread, "dev")
    deployment.playground.slack.faults.event("message", "twice")
    await ana.say("and again", "dev", thread)
    await deployment.wait_for_reply("task 2", thread, "dev")
    await ana.say("stop", "dev", thread)
    await deployment.wait_for_reply("Stopped by", thread, "dev")
    answers = [m for m in ana.thread("dev", thread) if "task 2 of" in str(m.get("blocks"))]
    assert len(answers) == 1
    assert not [m for m in ana.thread("dev", thread) if "Task 3" in m["text"]]
    await deployment.no_containers()


async def test_what_is_not_for_us_meets_silence(deployment: Deployment, leftovers: None) -> None:
    ana, slack = deployment.person("ana"), deployment.playground.slack
    place = ana.channel("general")
    before = len(roots(deployment))
    seen = len(ana.ephemerals())
    topic = await ana.say("lunch?", "general")
    await ana.say("yes", "general", topic)
    await ana.edit("general", topic, f"<@{BOT_USER_ID}> demo/todo go")
    await ana.say("demo/todo go", "general", topic)
    other = SlackMessage(
        ts=slack.state.next_ts(), channel=place.id, user="U0OTHERBOT", text="demo/todo go",
        bot_id="B0OTHERBOT", thread_ts=topic,
    )  # fmt: skip
    slack.state.add(other)
    slack.delivery.event(slack.payloads.message(other))
    await ana.delete("general", topic)
    await slack.delivery.idle()
    # Everything above is acknowledged; a command after it is answered, and nothing else was.
    await ana.slash("/agent", "help")
    await ana.wait_for_ephemeral("Start an agent")
    assert len(roots(deployment)) == before
    assert len(ana.ephemerals()) == seen + 1
