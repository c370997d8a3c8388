"""Real `git push` through the gateway: to the agent's own branch, and to nothing else."""

import asyncio
import logging
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.agent import AgentStatus
from bot.gateway.git.pkt_line import pkt_line
from bot.gateway.server import HostGateway
from tests.harness.git import run_git
from tests.integration.gateway.bench import GatewayBench
from tests.integration.gateway.conftest import API, GIT_TOKEN, GitServer

BRANCH = "agent/k3f9ab"
ZERO = "0" * 40


@dataclass
class PushingClone:
    """A clone through the gateway, with one commit that is not pushed yet."""

    bench: GatewayBench
    server: GitServer
    bare: Path
    clone: Path

    async def push(self, *arguments: str) -> str:
        """What git says; raises CalledProcessError when it is refused."""
        command = ("push", "--porcelain", "origin", *arguments)
        return await asyncio.to_thread(run_git, self.clone, *command)

    async def refused(self, *arguments: str) -> str:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            await self.push(*arguments)
        return str(caught.value.output) + str(caught.value.stderr)

    def refs(self) -> dict[str, str]:
        out = run_git(self.bare, "for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ") for line in out.splitlines())

    def head(self) -> str:
        return run_git(self.clone, "rev-parse", "HEAD")

    @property
    def pushed(self) -> int:
        """How many pushes have reached the git host."""
        posts = [request for request in self.server.requests if request.method == "POST"]
        return sum(request.path.endswith("/git-receive-pack") for request in posts)


def with_token(gateway: HostGateway) -> str:
    access = gateway.access("k3f9ab", API)
    token = access.token.get_secret_value()
    return access.clone_url.replace("http://", f"http://x-access-token:{token}@")


@pytest.fixture
async def pushing(bench: GatewayBench, git_server: GitServer, tmp_path: Path) -> PushingClone:
    bare = git_server.repository("acme/api.git", "main")
    git_server.repository("acme/web.git", "main")
    await bench.agent()
    assert bench.gateway
    clone = tmp_path / "clone"
    command = ("clone", "-q", with_token(bench.gateway), str(clone))
    await asyncio.to_thread(run_git, tmp_path, *command)
    run_git(clone, "commit", "-q", "--allow-empty", "-m", "mine")
    return PushingClone(bench, git_server, bare, clone)


@pytest.mark.parametrize("version", ["0", "1", "2"])
async def test_the_own_branch_is_pushed_again_and_again(
    pushing: PushingClone, version: str
) -> None:
    run_git(pushing.clone, "config", "protocol.version", version)
    for _ in range(2):
        await pushing.push(f"HEAD:refs/heads/{BRANCH}")
        assert pushing.refs()[f"refs/heads/{BRANCH}"] == pushing.head()
        run_git(pushing.clone, "commit", "-q", "--allow-empty", "-m", "more")
    assert pushing.pushed == 2
    for path in (pushing.clone / ".git").rglob("*"):
        assert not path.is_file() or GIT_TOKEN.encode() not in path.read_bytes()


async def test_a_push_of_many_megabytes_passes_in_pieces(pushing: PushingClone) -> None:
    (pushing.clone / "blob").write_bytes(os.urandom(5_000_000))
    run_git(pushing.clone, "add", ".")
    run_git(pushing.clone, "commit", "-q", "-m", "big")
    await pushing.push(f"HEAD:refs/heads/{BRANCH}")
    assert pushing.refs()[f"refs/heads/{BRANCH}"] == pushing.head()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (("HEAD:refs/heads/main",), f"this agent may push only {BRANCH}"),
        (("HEAD:refs/heads/agent/k3f9abc",), "may push only"),
        (("HEAD:refs/tags/v1",), "only branches may be pushed"),
        (("HEAD:refs/pull/1/head",), "only branches may be pushed"),
        ((":refs/heads/main",), "may push only"),
        ((f"HEAD:refs/heads/{BRANCH}", "HEAD:refs/heads/main"), "one branch at a time"),
        ((f"HEAD:refs/heads/{BRANCH}", "HEAD:refs/tags/v1"), "one branch at a time"),
        (("--atomic", f"HEAD:refs/heads/{BRANCH}", "HEAD:refs/heads/x"), "one branch at a time"),
        (("--force", "HEAD:refs/heads/main"), "may push only"),
        (("--mirror",), "one branch at a time"),
    ],
)
async def test_other_targets_are_rejected_by_name(
    pushing: PushingClone, target: tuple[str, ...], words: str
) -> None:
    before = pushing.refs()
    output = await pushing.refused(*target)
    assert words in output
    assert "remote rejected" in output
    assert pushing.refs() == before
    assert pushing.pushed == 0


async def test_the_own_branch_is_not_deleted(pushing: PushingClone) -> None:
    await pushing.push(f"HEAD:refs/heads/{BRANCH}")
    before = pushing.refs()
    assert "deleting a branch is not allowed" in await pushing.refused(f":refs/heads/{BRANCH}")
    assert pushing.refs() == before


async def test_a_branch_that_has_moved_is_not_overwritten(pushing: PushingClone) -> None:
    await pushing.push(f"HEAD:refs/heads/{BRANCH}")
    first = pushing.head()
    # Somebody else moves it between this push's question and its answer: said by an old id.
    run_git(pushing.bare, "update-ref", f"refs/heads/{BRANCH}", "refs/heads/main")
    before = pushing.refs()
    line = f"{first} {pushing.head()} refs/heads/{BRANCH}\0report-status\n"
    status, body = await post(pushing, pkt_line(line) + b"0000PACK\0\0\0\2\0\0\0\0")
    assert (status, b"the branch has moved" in body) == (200, True)
    assert pushing.refs() == before
    assert pushing.pushed == 1


async def post(
    pushing: PushingClone, body: bytes, repository: str = "acme/api"
) -> tuple[int, bytes]:
    assert pushing.bench.gateway
    access = pushing.bench.gateway.access("k3f9ab", API)
    url = access.clone_url.replace("acme/api", repository) + "/git-receive-pack"
    headers = {
        "Authorization": f"Bearer {access.token.get_secret_value()}",
        "Content-Type": "application/x-git-receive-pack-request",
    }
    async with pushing.bench.session.post(url, data=body, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_a_push_that_is_too_large_never_reaches_the_host(pushing: PushingClone) -> None:
    await pushing.bench.set(push_limit_bytes=1_000_000)
    await pushing.bench.gateway.open("k3f9ab", API)  # type: ignore[union-attr]
    run_git(pushing.clone, "remote", "set-url", "origin", with_token(pushing.bench.gateway))  # type: ignore[arg-type]
    (pushing.clone / "blob").write_bytes(os.urandom(1_500_000))
    run_git(pushing.clone, "add", ".")
    run_git(pushing.clone, "commit", "-q", "-m", "big")
    output = await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert "larger than 0.95 MiB" in output
    assert pushing.pushed == 0
    (pushing.clone / "blob").write_bytes(os.urandom(6_000_000))
    run_git(pushing.clone, "commit", "-q", "-a", "-m", "bigger")
    await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert pushing.pushed == 0
    assert f"refs/heads/{BRANCH}" not in pushing.refs()


async def test_another_repository_is_refused(pushing: PushingClone) -> None:
    url = run_git(pushing.clone, "remote", "get-url", "origin").replace("acme/api", "acme/web")
    run_git(pushing.clone, "remote", "set-url", "origin", url)
    assert "403" in await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert (await post(pushing, b"0000", "acme/web"))[0] == 403
    assert pushing.pushed == 0


async def test_a_foreign_and_a_dead_token_push_nothing(pushing: PushingClone) -> None:
    assert pushing.bench.gateway
    url = run_git(pushing.clone, "remote", "get-url", "origin")
    wrong = url.replace("x-access-token:", "x-access-token:x")
    run_git(pushing.clone, "remote", "set-url", "origin", wrong)
    await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    run_git(pushing.clone, "remote", "set-url", "origin", url)
    await pushing.bench.gateway.close("k3f9ab")
    await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert pushing.pushed == 0


async def test_an_agent_that_has_ended_pushes_nothing(pushing: PushingClone) -> None:
    async with pushing.bench.store.transaction() as tx:
        agent = await tx.agent("k3f9ab")
        assert agent
        await tx.save_agent(agent.with_status(AgentStatus.STOPPED, 5.0))
    assert "403" in await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert pushing.pushed == 0


async def test_pushing_can_be_switched_off(pushing: PushingClone) -> None:
    await pushing.bench.set(push_branches=False)
    await pushing.bench.gateway.open("k3f9ab", API)  # type: ignore[union-attr]
    run_git(pushing.clone, "remote", "set-url", "origin", with_token(pushing.bench.gateway))  # type: ignore[arg-type]
    assert "403" in await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert pushing.pushed == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"00", b"zzzz", b"0001", pkt_line(f"{ZERO} {'1' * 40} refs/heads/{BRANCH}"),
        pkt_line(f"{ZERO} {'1' * 40} refs/heads/{BRANCH}\0report-status") + b"0000",
        pkt_line(f"{ZERO} {'1' * 40} refs/heads/{BRANCH}\0report-status") + b"0000nopack..",
        pkt_line(f"{ZERO} {'1' * 40} refs/heads/{BRANCH}\0report-status push-options") + b"0000",
        pkt_line(f"shallow {'1' * 40}") + b"0000", pkt_line("push-cert\0x") + b"0000",
    ],
)  # fmt: skip
async def test_odd_bodies_never_reach_the_host(pushing: PushingClone, body: bytes) -> None:
    status, answer = await post(pushing, body)
    assert status == 403 or b"ng refs/heads/" in answer
    assert pushing.pushed == 0


async def test_gits_question_whether_it_may_is_answered_here(pushing: PushingClone) -> None:
    assert await post(pushing, b"0000") == (200, b"")
    assert pushing.pushed == 0


async def test_an_upload_that_breaks_off_leaves_nothing_behind(pushing: PushingClone) -> None:
    started = asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        line = f"{ZERO} {pushing.head()} refs/heads/{BRANCH}\0report-status\n"
        yield pkt_line(line) + b"0000PACK\0\0\0\2\0\0\0\5" + b"x" * 100_000
        started.set()
        await asyncio.Event().wait()

    assert pushing.bench.gateway
    access = pushing.bench.gateway.access("k3f9ab", API)
    headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
    url = access.clone_url + "/git-receive-pack"
    asking = asyncio.get_running_loop().create_task(
        pushing.bench.session.post(url, data=broken(), headers=headers)
    )
    await started.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await pushing.push(f"HEAD:refs/heads/{BRANCH}")
    assert pushing.refs()[f"refs/heads/{BRANCH}"] == pushing.head()
    assert pushing.pushed == 1
    assert not list((pushing.bench.folder).glob("tmp*"))


async def test_the_hosts_own_rejection_is_shown(pushing: PushingClone) -> None:
    hook = pushing.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho canary-rule >&2\nexit 1\n")
    hook.chmod(0o755)
    output = await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert "canary-rule" in output
    assert "pre-receive hook declined" in output


async def test_a_host_that_takes_no_push_is_named_and_the_token_is_not(
    pushing: PushingClone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    run_git(pushing.bare, "config", "http.receivepack", "false")
    output = await pushing.refused(f"HEAD:refs/heads/{BRANCH}")
    assert GIT_TOKEN not in output + caplog.text


async def test_two_pushes_of_one_agent_do_not_overlap(pushing: PushingClone) -> None:
    results = await asyncio.gather(
        *(pushing.push(f"HEAD:refs/heads/{BRANCH}") for _ in range(2)), return_exceptions=True
    )
    assert any(isinstance(result, str) for result in results)
    assert pushing.refs()[f"refs/heads/{BRANCH}"] == pushing.head()
