"""An agent's id is no permission: only who may see the agent's channel sees or commands it."""

from dataclasses import replace

import pytest

from bot.domain.agent import Agent, AgentStatus
from bot.domain.policy import Action
from bot.slack.identity import FRESH_SECONDS, REFUSED_SECONDS, SlackPeople
from bot.slack.views import task_card
from bot.slack.views.details import CHANGE_MODEL
from bot.slack.views.home import STOP_HERE
from bot.slack.views.modal import POST, TURN, ModalLocation, ModalView
from bot.slack.views.question import ANSWERS, APPROVAL_ANSWERS
from playground.slack.slack_state import BOT_USER_ID, TEAM_ID, Channel, Json, User
from playground.slack.user_client import UserClient
from tests.harness.audit import read_audit
from tests.integration.handlers.conftest import Office
from tests.integration.handlers.test_results import button_posted

ANA, BEN, MAL = "U00000ANA", "U00000BEN", "U00000MAL"
SECRET = "C00SECRET0"
BUTTONS = [
    task_card.INTERRUPT, task_card.STOP, task_card.PATCH, task_card.CONTINUE, task_card.PAUSE,
    task_card.RESUME, task_card.UNDO, task_card.DETAILS, task_card.DIFF, task_card.PUSH,
    task_card.PULL, *task_card.BUDGETS, *ANSWERS, *APPROVAL_ANSWERS,
]  # fmt: skip


async def private_agent(office: Office, kind: str = "group") -> tuple[Agent, UserClient]:
    """An agent of @ben in a channel with @ana, and @mal, who is in #general alone."""
    state = office.slack.state
    state.channels[SECRET] = Channel(SECRET, "secret", kind, {ANA, BEN, BOT_USER_ID})  # type: ignore[arg-type]
    state.users[MAL] = User(MAL, "mal", "Mal Other")
    state.channel("general").members.add(MAL)
    await office.person("ben").say("acme/hidden plan it", "secret", mention=True)
    (agent,) = await office.agents()
    agent = await office.harness.reaches(agent.id, AgentStatus.WORKING)
    await office.settle()
    return agent, office.person("mal")


async def refusals(office: Office, agent: Agent) -> list[tuple[str, str]]:
    return [
        (entry.actor, entry.action)
        for entry in reversed(await read_audit(office.harness.store))
        if entry.outcome == "refused: may not see the agent's channel" and entry.subject == agent.id
    ]


def told(person: UserClient) -> list[str]:
    return [ephemeral.text for ephemeral in person.ephemerals()]


def calls(office: Office, method: str) -> int:
    entries = office.slack.feed.entries("api_call")
    return sum(entry.data["method"] == method for entry in entries)


def people_of(office: Office) -> SlackPeople:
    people = office.handlers.buttons._authorization.people
    assert isinstance(people, SlackPeople)
    return people


@pytest.mark.parametrize("kind", ["group", "mpim"])
async def test_an_id_tells_and_stops_nothing_outside_of_its_private_channel(
    office: Office, kind: str
) -> None:
    agent, mal = await private_agent(office, kind)
    for command in ("status", "stop"):
        await mal.slash("/agent", f"{command} {agent.id}")
        await mal.slash("/agent", f"{command} zzzzzz")
        await mal.say(f"{command} {agent.id}", mention=True)
        await office.settle()
    unknown = "There is no agent `zzzzzz`. `/agent list` shows them."
    named = unknown.replace("zzzzzz", agent.id)
    refused = [text for text in told(mal) if text.startswith("There is no agent")]
    assert refused == [named, unknown, named] * 2
    assert not [text for text in told(mal) if "hidden" in text or SECRET in text]
    assert (await office.harness.stored(agent.id)).status is AgentStatus.WORKING
    reading, stopping = (MAL, Action.READ), (MAL, Action.STOP)
    assert await refusals(office, agent) == [reading, reading, stopping, stopping]


async def test_a_direct_messages_agent_is_that_persons_alone(office: Office) -> None:
    await office.person("ben").say("acme/hidden plan it", "@")
    (agent,) = await office.agents()
    await office.harness.reaches(agent.id, AgentStatus.WORKING)
    ana = office.person("ana")  # an admin of the workspace, who reads no messages of others either
    await ana.slash("/agent", f"stop {agent.id}")
    await ana.wait_for_ephemeral("There is no agent")
    await office.person("ben").slash("/agent", f"stop {agent.id}")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)


async def test_no_button_with_its_id_counts_in_another_channel(office: Office) -> None:
    agent, mal = await private_agent(office)
    root = await office.person("ana").say("look")
    elsewhere = replace(agent, channel=office.slack.state.channel("general").id)
    for action in BUTTONS:
        await button_posted(office, elsewhere, root, action)
        assert (await mal.click(action, "general")).ok
    await office.settle()
    assert told(mal) == [f"There is no agent `{agent.id}`. `/agent list` shows them."] * len(
        BUTTONS
    )
    assert not mal.views()
    assert len(await refusals(office, agent)) == len(BUTTONS)
    assert (await office.harness.stored(agent.id)).status is AgentStatus.WORKING


async def test_no_stop_of_a_home_tab_counts_for_an_agent_of_another_channel(
    office: Office,
) -> None:
    agent, mal = await private_agent(office)
    await office.client.views_publish(user_id=MAL, view=_home_with_stop(agent))
    await mal.click_view(STOP_HERE)
    await mal.wait_for_message("There is no agent", "@")
    assert await refusals(office, agent) == [(MAL, Action.STOP)]
    assert (await office.harness.stored(agent.id)).status is AgentStatus.WORKING


@pytest.mark.parametrize("action", [f"{TURN}:refresh", POST, CHANGE_MODEL])
async def test_a_modal_left_open_ends_with_the_membership(office: Office, action: str) -> None:
    agent, _ = await private_agent(office)
    people, now = people_of(office), [0.0]
    people._clock = lambda: now[0]
    ana = office.person("ana")
    root = (await office.harness.stored(agent.id)).thread_ts
    await button_posted(office, agent, root or "", task_card.DETAILS)
    await ana.click(task_card.DETAILS, "secret")
    await ana.wait_for_view("No tool was called so far")
    office.slack.state.channels[SECRET].members.remove(ANA)
    place = ModalLocation(ModalView.STEPS, agent.id, agent.first_task_id).packed()
    button: Json = {
        "type": "button", "action_id": action, "value": place,
        "text": {"type": "plain_text", "text": "Look"},
    }  # fmt: skip
    ana.views()[-1].spec["blocks"].append(
        {"type": "actions", "block_id": "b", "elements": [button]}
    )
    now[0] = FRESH_SECONDS + 1
    await ana.click_view(action)
    await ana.wait_for_view(f"There is no agent `{agent.id}`")
    assert len(await refusals(office, agent)) == 1


async def test_a_modal_turns_its_pages_without_asking_who_is_in_the_channel(
    office: Office,
) -> None:
    agent, _ = await private_agent(office)
    office.slack.faults.fail("conversations.info", "error", times=20, code="internal_error")
    ana = office.person("ana")
    await button_posted(office, agent, agent.thread_ts or "", task_card.DETAILS)
    await ana.click(task_card.DETAILS, "secret")
    await ana.wait_for_view("No tool was called so far")
    await ana.click_view(f"{TURN}:refresh")
    await office.settle()
    assert not await refusals(office, agent)
    assert calls(office, "conversations.info") == 0


async def test_members_use_an_id_from_anywhere(office: Office) -> None:
    agent, _ = await private_agent(office)
    ana = office.person("ana")
    await ana.slash("/agent", f"status {agent.id}")
    assert "acme/hidden" in (await ana.wait_for_ephemeral(agent.id)).text
    await ana.slash("/agent", f"stop {agent.id}")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    assert calls(office, "conversations.members") == 1


async def test_starters_and_admins_of_the_settings_need_no_word_of_slack(office: Office) -> None:
    agent, mal = await private_agent(office)
    office.slack.faults.fail("conversations.info", "error", times=20, code="internal_error")
    office.slack.state.channels[SECRET].members.remove(BEN)
    ben = office.person("ben")
    await ben.slash("/agent", f"status {agent.id}")
    await ben.wait_for_ephemeral("acme/hidden")
    authorization = office.handlers.buttons._authorization
    authorization._house = replace(authorization._house, admins=frozenset({MAL}))
    await mal.slash("/agent", f"stop {agent.id}")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    assert calls(office, "conversations.info") == 0


@pytest.mark.parametrize("fault", ["scope", "silence"])
async def test_what_slack_does_not_say_counts_as_no(
    office: Office, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    agent, _ = await private_agent(office)
    if fault == "scope":
        fewer = office.slack.settings.scopes.replace("groups:read,", "")
        office.slack.settings = replace(office.slack.settings, scopes=fewer)
    else:
        office.slack.faults.fail("conversations.members", "error", times=9, code="internal_error")
    ana = office.person("ana")
    await ana.slash("/agent", f"status {agent.id}")
    await ana.wait_for_ephemeral("There is no agent")
    assert ("needs the scope groups:read" in caplog.text) == (fault == "scope")
    await ana.slash("/agent", f"stop {agent.id}", "secret")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)


async def test_everybody_of_the_workspace_may_use_an_id_of_a_public_channel(
    office: Office,
) -> None:
    await office.person("ana").say("acme/api fix it", "dev", mention=True)
    (agent,) = await office.agents()
    office.slack.state.users[MAL] = User(MAL, "mal", "Mal Other")
    office.slack.state.channel("general").members.add(MAL)
    mal = office.person("mal")
    await mal.slash("/agent", f"status {agent.id}")
    await mal.wait_for_ephemeral("acme/api")
    assert calls(office, "conversations.members") == 0
    people = people_of(office)
    assert not await people.may_see_channel(office.person("eve").user.id, agent.channel)
    assert await people.may_see_channel(office.person("eve").user.id, "C0GENERAL0")


async def test_a_list_names_the_agents_of_its_channel_alone(office: Office) -> None:
    agent, _ = await private_agent(office)
    ana = office.person("ana")
    await ana.slash("/agent", "list")
    await ana.wait_for_ephemeral("No agent runs in this channel")
    await ana.slash("/agent", "list", "secret")
    await ana.wait_for_ephemeral(agent.id)


async def test_members_are_looked_for_on_every_page_and_remembered(office: Office) -> None:
    state = office.slack.state
    crowd = {f"U{number:08}" for number in range(1_500)}
    state.channels[SECRET] = Channel(SECRET, "secret", "group", {"U9", BOT_USER_ID, *crowd})
    state.users["U9"] = User("U9", "ninth", "Ninth")
    state.users[MAL] = User(MAL, "mal", "Mal Other")
    now = [0.0]
    people = SlackPeople(office.client, TEAM_ID, lambda: now[0])
    for _ in range(3):
        assert await people.may_see_channel("U9", SECRET)
        assert not await people.may_see_channel(MAL, SECRET)
    assert calls(office, "conversations.members") == 4
    state.channels[SECRET].members.add(MAL)
    now[0] = REFUSED_SECONDS
    assert await people.may_see_channel(MAL, SECRET)
    state.channels[SECRET].members.discard("U9")
    assert await people.may_see_channel("U9", SECRET)
    now[0] = FRESH_SECONDS
    assert not await people.may_see_channel("U9", SECRET)


def _home_with_stop(agent: Agent) -> Json:
    text = {"type": "plain_text", "text": "Stop"}
    stop = {"type": "button", "action_id": STOP_HERE, "value": f"{agent.id}:", "text": text}
    return {"type": "home", "blocks": [{"type": "actions", "elements": [stop]}]}
