"""Pull requests at the playground's API, and the model call that describes them."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.agent import RepoRef
from bot.domain.pull_request import Credits, PullState, title_and_body
from bot.errors import NothingToPropose, RepositoryError
from bot.gateway.git.github import GithubClient, HostPulls
from bot.slack.views.evidence import evidence_markdown
from bridge.protocol import Check, CheckKind, Evidence
from playground.event_feed import EventFeed
from playground.git_server import GitServer, GitSettings, git_running
from tests.harness.refusals import refused
from tests.integration.gateway.conftest import Serving
from tests.unit.bot.slack.posts import Words, agent_of

REPO = RepoRef("demo", "todo")
BRANCH = "agent/k3f9ab-fix"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[GitServer]:
    narrow = (("canary-narrow", frozenset({"demo/other"})),)
    async with git_running(GitSettings(narrow_tokens=narrow), tmp_path, EventFeed()) as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def pulls(session: aiohttp.ClientSession, host: GitServer, token: str = "") -> HostPulls:
    async def token_of(_: RepoRef) -> SecretStr:
        return SecretStr(token or host.settings.token)

    return HostPulls(GithubClient(session, f"{host.url}/api/v3"), host.url, token_of)


async def commit(host: GitServer) -> None:
    """A branch with one commit more than main."""
    tree = (await host.git("demo/todo", "rev-parse", "main^{tree}")).strip()
    made = await host.git("demo/todo", "commit-tree", tree, "-p", "main", "-m", "mine")
    await host.git("demo/todo", "update-ref", f"refs/heads/{BRANCH}", made.strip())


async def test_a_pull_request_is_opened_found_and_followed_to_its_end(
    session: aiohttp.ClientSession, host: GitServer
) -> None:
    await commit(host)
    at = pulls(session, host)
    assert await at.find(REPO, BRANCH) is None
    made = await at.create(REPO, BRANCH, "main", "Fix it", "Because.")
    assert (made.number, made.title, made.state) == (1, "Fix it", PullState.OPEN)
    assert made.url == f"{host.url}/demo/todo/pull/1"
    assert await at.create(REPO, BRANCH, "main", "Again", "") == made
    [kept] = host.api.pulls["demo/todo"]
    assert (kept.body, kept.head, kept.base) == ("Because.", BRANCH, "main")
    kept.state = "closed"
    pull = await at.find(REPO, BRANCH)
    assert pull
    assert pull.state is PullState.CLOSED
    kept.merged = True
    pull = await at.find(REPO, BRANCH)
    assert pull
    assert pull.state is PullState.MERGED


async def test_no_difference_and_no_branch(session: aiohttp.ClientSession, host: GitServer) -> None:
    await host.git("demo/todo", "branch", BRANCH, "main")
    with refused(NothingToPropose, "nothing that `main` does not"):
        await pulls(session, host).create(REPO, BRANCH, "main", "Fix it", "")
    with refused(RepositoryError, "does not take a pull request"):
        await pulls(session, host).create(REPO, "agent/none", "main", "Fix it", "")


@pytest.mark.parametrize("token", ["canary-narrow", "canary-unknown"])
async def test_a_token_without_the_right_is_told_which_right(
    session: aiohttp.ClientSession, host: GitServer, token: str
) -> None:
    await commit(host)
    with refused(RepositoryError, "Pull requests: write") as caught:
        await pulls(session, host, token).create(REPO, BRANCH, "main", "Fix it", "")
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (200, "<html>", "in another way than GitHub's"),
        (200, '[{"number": 1, "html_url": "javascript:x", "state": "open"}]', "in another way"),
        pytest.param(
            200,
            '[{"number": 1, "html_url": "https://x.invalid/1", "state": "open", "more": ['
            + "[]," * 250_000
            + "[]]}]",
            "in another way",
            id="very many values",
        ),
        (200, "[" + " " * 3_000_000, "does not answer"),
        (500, "", "has a problem"),
        (302, "", "has a problem"),
    ],
)
async def test_an_api_that_is_none(
    serving: Serving, session: aiohttp.ClientSession, status: int, body: str, text: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    url = await serving.start(app)

    async def token_of(_: RepoRef) -> SecretStr:
        return SecretStr("canary")

    with refused(RepositoryError, text):
        await HostPulls(GithubClient(session, url), url, token_of).find(REPO, BRANCH)


async def test_links_for_people_name_their_branches(
    session: aiohttp.ClientSession, host: GitServer
) -> None:
    at = pulls(session, host)
    assert at.compare_url(REPO, "agent/a+b", "main").endswith("/main...agent/a%2Bb?expand=1")
    assert at.branch_url(REPO, BRANCH).endswith(f"/demo/todo/tree/{BRANCH}")


async def test_the_body_at_the_host_holds_what_was_recorded_and_refers_to_nobody(
    session: aiohttp.ClientSession, host: GitServer
) -> None:
    await commit(host)
    check = Check(
        command="pytest -q `@octocat` closes #1\n# heading",
        kind=CheckKind.TESTS,
        exit_code=0,
        duration_seconds=14.2,
        passed=212,
        stale=False,
    )
    evidence = evidence_markdown(Evidence(checks=(check,), changed=True))
    credits_ = Credits("Ana @octocat", ["Ben"], "https://slack.invalid/p1", evidence)
    agent = replace(agent_of(Words(title="Fix it, closes #2")), target_branch=BRANCH)
    title, body = title_and_body(agent, "Fix it\n\nFixes #3 for @octocat.", credits_)
    await pulls(session, host).create(REPO, BRANCH, "main", title, body)
    [pull] = host.api.pulls["demo/todo"]
    recorded = pull.body.splitlines()[-1]
    assert recorded == (
        "Checks (recorded, not claimed): `pytest -q '@octocat' closes #\u200b1 # heading` exit 0, "
        "212 passed, 14 s — after the last edit."
    )
    outside = re.sub("`[^`]*`", "", pull.title + pull.body)
    assert not re.search(r"[@#]\w", outside)
