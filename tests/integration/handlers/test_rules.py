"""Who may do what, by real listeners: refusals are private, recorded, and say what to do."""

import asyncio
from pathlib import Path

import pytest

from bot.agents.access.authorization import Authorization
from bot.domain.agent import AgentStatus
from bot.domain.policy import Action, Audit
from bot.slack.identity import FRESH_SECONDS, SlackPeople
from bot.slack.views.task_card import PUSH
from playground.slack.slack_state import TEAM_ID, User
from tests.harness.app import KNOWN_SECRET
from tests.harness.audit import read_audit
from tests.integration.handlers.conftest import Office
from tests.integration.handlers.test_results import button_posted

ZOE = User("U00000ZOE", "zoe", "Zoe Abroad", team_id="T0OTHERORG")


async def record(office: Office) -> list[Audit]:
    return list(reversed(await read_audit(office.harness.store)))


def join(office: Office, user: User) -> None:
    office.slack.state.users[user.id] = user
    office.slack.state.channel("general").members.add(user.id)


@pytest.mark.parametrize(
    ("name", "says"),
    [("eve", "Guests cannot use agents here"), ("zoe", "People of other organisations")],
)
async def test_a_stranger_starts_steers_and_stops_nothing(
    office: Office, name: str, says: str
) -> None:
    join(office, ZOE)
    agent, root = await office.in_thread()
    stranger = office.person(name)
    await stranger.slash("/agent", "acme/api do it")
    await stranger.say("acme/api do it", mention=True)
    await stranger.say("do something else", thread_ts=root)
    await stranger.say("stop", thread_ts=root)
    await stranger.react("general", root, "octagonal_sign")
    await stranger.slash("/agent", f"stop {agent.id}")
    await stranger.slash("/agent", "list")
    await office.settle()
    told = stranger.ephemerals()
    assert len(told) == 7
    assert all(says in ephemeral.text for ephemeral in told)
    stored = await office.harness.store.agents(alive=False)
    assert [(one.id, one.status) for one in stored] == [(agent.id, AgentStatus.WORKING)]
    assert not office.harness.bridge.bodies("chat")
    refused = [e for e in await record(office) if e.outcome.startswith("refused: ")]
    assert {entry.actor for entry in refused} == {stranger.user.id}
    assert len(refused) == 7


async def test_a_refused_message_that_comes_twice_is_refused_once(office: Office) -> None:
    _, root = await office.in_thread()
    eve = office.person("eve")
    await eve.say("do something else", thread_ts=root, mention=True)
    await office.settle()
    assert len(eve.ephemerals()) == 1


async def test_an_owners_rule_is_set_by_an_admin_and_holds_at_once(office: Office) -> None:
    ben, ana = office.person("ben"), office.person("ana")
    await ben.slash("/agent", "set stop owner")
    await ben.wait_for_ephemeral("Only admins may do this")
    root = await ben.say("acme/api fix it", mention=True)
    (agent,) = await office.agents()
    await office.harness.reaches(agent.id, AgentStatus.WORKING)
    await ana.slash("/agent", "set stop owner")
    await ana.wait_for_ephemeral("Rules of this channel")
    shown = await ana.wait_for_ephemeral("Rules of this channel")
    assert "stop: who started it, and admins" in shown.text
    join(office, User("U00000CLI", "cli", "Cli Other"))
    cli = office.person("cli")
    await cli.say("stop", thread_ts=root)
    await cli.wait_for_ephemeral("Only <@U00000BEN> and admins may stop this agent. Ask them.")
    await cli.say("do it differently", thread_ts=root)
    await office.harness.asked("chat")
    await ana.slash("/agent", "set steer owner")
    await office.settle()
    await cli.say("and once more", thread_ts=root)
    await cli.wait_for_ephemeral("may steer this agent")
    await ben.say("stop", thread_ts=root)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    await office.settle()
    assert len(office.harness.bridge.bodies("chat")) == 1
    actions = [(entry.action, entry.outcome.partition(":")[0]) for entry in await record(office)]
    assert actions == [
        ("administer", "refused"),
        ("agent.start", "allowed"),
        ("administer", "allowed"),
        ("channel.set", "done"),
        ("agent.stop", "refused"),
        ("agent.steer", "allowed"),
        ("administer", "allowed"),
        ("channel.set", "done"),
        ("agent.steer", "refused"),
        ("agent.stop", "allowed"),
    ]


async def test_repositories_of_a_channel_are_listed_and_opened_again(office: Office) -> None:
    ana = office.person("ana")
    await ana.slash("/agent", "set repositories acme/web other/*")
    await ana.wait_for_ephemeral("repositories allowed in this channel: `acme/web`, `other/*`")
    await ana.slash("/agent", "acme/api do it")
    await ana.wait_for_ephemeral("`acme/api` may not be used in this channel")
    await ana.slash("/agent", "set repositories any")
    await office.settle()
    await ana.slash("/agent", "acme/api do it")
    await office.agents()


@pytest.mark.parametrize(
    "text", ["set nonsense", "set stop", "set stop nobody", "set repositories"]
)
async def test_a_rule_that_is_none_is_explained(office: Office, text: str) -> None:
    await office.person("ana").slash("/agent", text)
    await office.person("ana").wait_for_ephemeral("set start|steer|stop|approve anyone|owner")


async def test_a_person_whom_slack_does_not_know_may_only_stop(office: Office) -> None:
    agent, root = await office.in_thread()
    office.slack.faults.fail("users.info", "error", times=20, code="internal_error")
    ben = office.person("ben")
    await ben.say("do something else", thread_ts=root)
    await ben.wait_for_ephemeral("Slack did not say who you are")
    await ben.say("stop", thread_ts=root)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)


async def test_people_of_whom_slack_says_nothing_take_no_memory(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.slack.identity.MOST_KEPT", 2)
    people = SlackPeople(office.client, TEAM_ID)
    for number in range(4):
        assert await people.person(f"U{number:09}") is None
    assert not people._asked._asked
    for name in ("ana", "ben", "eve"):
        assert await people.person(office.person(name).user.id)
    assert len(people._known) == 2


async def test_people_are_asked_for_once_and_remembered_when_slack_is_silent(
    office: Office,
) -> None:
    now = [0.0]
    people = SlackPeople(office.client, TEAM_ID, lambda: now[0])
    person = await people.person("U00000ANA")
    assert person
    assert person.is_admin
    assert await people.person("U00000ANA") == person
    calls = [e for e in office.slack.feed.entries("api_call") if e.data["method"] == "users.info"]
    assert len(calls) == 1
    now[0] = FRESH_SECONDS + 1
    office.slack.faults.fail("users.info", "error", times=20, code="internal_error")
    assert await people.person("U00000ANA") == person
    assert await people.person("U00000BEN") is None
    gate = Authorization(office.harness.dependencies, people)
    assert (await gate.judge(Action.STOP, "U00000BEN", TEAM_ID, "C"))[1] == ""
    assert (await gate.judge(Action.START, "U00000BEN", TEAM_ID, "C"))[1]


async def test_a_known_secret_that_a_person_types_goes_no_further(
    office: Office, tmp_path: Path
) -> None:
    agent, root = await office.in_thread(f"acme/api use {KNOWN_SECRET} to log in")
    await office.person("ben").say(f"no, {KNOWN_SECRET}", thread_ts=root)
    await office.harness.asked("chat")
    await office.settle()
    assert agent.title == "use [redacted] to log in"
    assert office.harness.bridge.bodies("execute")[0].text == "use [redacted] to log in"
    assert office.harness.bridge.bodies("chat")[0].text == "no, [redacted]"
    on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("bot.db*"))
    assert b"to log in" in on_disk
    assert KNOWN_SECRET.encode() not in on_disk
    assert KNOWN_SECRET not in str(office.slack.feed.entries("api_call"))


async def test_replies_keep_their_order_while_slack_is_asked_who_wrote_them(
    office: Office,
) -> None:
    _, root = await office.in_thread()
    people = ("ana", "ben")
    said = []
    for number in range(30):
        said.append(f"reply {number}")
        await office.person(people[number % 2]).say(said[-1], thread_ts=root)
    await office.harness.asked("chat", 30)
    await office.settle()
    assert [body.text for body in office.harness.bridge.bodies("chat")] == said


async def test_a_stop_does_not_wait_for_a_writer(office: Office) -> None:
    agent, _ = await office.in_thread()
    await office.settle()
    async with asyncio.TaskGroup() as group, office.harness.store.transaction():
        group.create_task(office.handlers.buttons.stop_agent(agent, "U00000ANA"))
        await office.harness.asked("interrupt")
    stored = await office.harness.stored(agent.id)
    assert stored.status is AgentStatus.STOPPED
    assert (await record(office))[-1].action == "agent.stop"


async def test_the_doctor_examines_for_admins_only_and_privately(office: Office) -> None:
    await office.person("ben").slash("/agent", "doctor")
    await office.person("ben").wait_for_ephemeral("Only admins may do this")
    await office.person("ana").slash("/agent", "doctor")
    said = await office.person("ana").wait_for_ephemeral("*1 of 2 checks failed*")
    assert "✗ *disk* · 1 &lt; 2 GiB\n        → Make \u200b*room\u200b*." in said.text
    assert said.text.index("disk") < said.text.index("✓ *Slack channels* · C0GENERAL0")
    assert [entry.action for entry in await record(office)] == ["administer", "administer"]


async def test_whatever_is_done_to_an_agent_is_recorded_with_its_actor(office: Office) -> None:
    ana, ben = office.person("ana"), office.person("ben")
    agent, root = await office.in_thread()
    await ben.say("use the old API", "general", root)
    await ben.say("!", "general", root)
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await button_posted(office, agent, root, PUSH)
    await ben.click(PUSH, "general")
    await ben.say("verbosity: quiet", "general", root)
    await ana.slash("/agent", "set stop owner")
    await ana.wait_for_ephemeral("Rules of this channel")
    await ben.say("stop", "general", root)
    await ana.say("stop", "general", root)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    await office.settle()
    done = [(entry.actor[-3:], entry.action, entry.outcome[:7]) for entry in await record(office)]
    for wanted in (
        ("ANA", "agent.start", "allowed"),
        ("BEN", "agent.steer", "allowed"),
        ("BEN", "agent.interrupt", "allowed"),
        ("BEN", "agent.verbosity", "quiet"),
        ("ANA", "channel.set", "done"),
        ("BEN", "agent.stop", "refused"),
        ("ANA", "agent.stop", "allowed"),
    ):
        assert wanted in done, (wanted, done)
    # The reply and the push: both are steering.
    assert done.count(("BEN", "agent.steer", "allowed")) == 2
