import pytest

from bot.domain.agent import AgentStatus
from bot.errors import RepositoryError
from bot.slack.views.task_card import INTERRUPT, STOP
from tests.integration.handlers.conftest import Office


async def test_a_command_starts_an_agent_in_its_channel(office: Office) -> None:
    outcome = await office.person("ana").slash("/agent", "acme/api@dev --steps 3 fix it", "dev")
    (agent,) = await office.agents()
    assert outcome.ok
    assert (agent.channel, agent.started_by) == ("C000000DEV", "U00000ANA")
    assert (str(agent.repo), agent.source_branch, agent.max_steps) == ("acme/api", "dev", 3)
    assert agent.thread is None or agent.thread_ts == (await office.agents())[0].thread_ts


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("help", "Start an agent"),
        ("lst", "Did you mean `/agent list`?"),
        ("../x fix", "is not a repository"),
        ("https://host.invalid/acme/api fix", "not by an address"),
        ("acme/api", "What should be done"),
        ("list", "No agent runs in this channel"),
        ("status", "No agent runs in this channel"),
        ("stop zz99zz", "no agent `zz99zz`"),
        ("acme/api " + "x" * 40_000, "the limit is 30,000"),
        ("acme/api " + "<" * 200_000, "longer than a message of Slack's"),
    ],
)
async def test_words_that_start_nothing_are_answered_privately(
    office: Office, words: str, said: str
) -> None:
    await office.person("ana").slash("/agent", words)
    await office.person("ana").wait_for_ephemeral(said)
    assert not await office.harness.store.agents(alive=False)
    assert not office.person("ben").ephemerals()


async def test_what_the_service_refuses_is_answered_privately(office: Office) -> None:
    office.harness.gateway.repository_error = RepositoryError("No such repository.")
    await office.person("ana").slash("/agent", "acme/apx fix it")
    await office.person("ana").wait_for_ephemeral("No such repository.")


async def test_list_status_and_stop_by_id(office: Office) -> None:
    ana, (agent, ts) = office.person("ana"), await office.in_thread()
    await ana.slash("/agent", "list")
    listed = await ana.wait_for_ephemeral("1 agent runs here")
    assert f"archives/C0GENERAL0/p{ts.replace('.', '')}|thread" in listed.text
    await ana.slash("/agent", "status")
    await ana.wait_for_ephemeral("no file changed")
    await ana.slash("/agent", f"stop {agent.id}")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    await ana.slash("/agent", f"stop {agent.id}")
    await ana.wait_for_ephemeral("was stopped")


async def test_with_two_agents_one_has_to_be_named(office: Office) -> None:
    ana = office.person("ana")
    for number in (1, 2):
        await ana.slash("/agent", f"acme/api task {number}")
        await office.agents(number)
    await ana.slash("/agent", "stop")
    await ana.wait_for_ephemeral("Which one?")
    assert len(await office.harness.store.agents()) == 2


async def test_the_form_starts_an_agent(office: Office) -> None:
    ana = office.person("ana")
    await ana.slash("/agent", "", "dev")
    await ana.wait_for_view("Start an agent")
    outcome = await ana.submit_view({"repo": "acme/api", "task": "fix it", "branch": "dev"})
    (agent,) = await office.agents()
    assert outcome.ok
    assert (agent.channel, agent.source_branch) == ("C000000DEV", "dev")


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({}, {"repo", "task"}),
        ({"repo": "../x", "task": "t"}, {"repo"}),
        ({"repo": "a/b", "task": "t", "branch": "-x", "model": "no model"}, {"branch", "model"}),
        ({"repo": "a/b", "task": "   "}, {"task"}),
    ],
)
async def test_a_form_with_errors_names_each_field_and_stays_open(
    office: Office, values: dict[str, str], wrong: set[str]
) -> None:
    ana = office.person("ana")
    await ana.slash("/agent", "")
    await ana.wait_for_view("Start an agent")
    outcome = await ana.submit_view(values)
    assert isinstance(outcome.answer, dict)
    assert outcome.answer["response_action"] == "errors"
    assert set(outcome.answer["errors"]) == wrong
    assert len(ana.views()) == 1
    await ana.submit_view({"repo": "a/b", "task": "t", "branch": "", "model": ""})
    await office.agents()


async def test_the_buttons_of_the_card(office: Office) -> None:
    agent, ts = await office.in_thread()
    card = (await office.harness.shown(agent.id))[f"card:{agent.id}-1"]
    await office.client.chat_postMessage(channel=agent.channel, thread_ts=ts, **card.payload)
    await office.person("ben").click(INTERRUPT, "general")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await office.person("ben").click(STOP, "general")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    shown = await office.harness.shown(agent.id)
    (said,) = (post.text for key, post in shown.items() if key.startswith("stopped:"))
    assert "<@U00000BEN>" in said
