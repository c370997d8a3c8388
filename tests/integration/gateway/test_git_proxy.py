"""Real git through the gateway, towards a real `git http-backend` that wants a token."""

import asyncio
import gzip
import subprocess
from pathlib import Path

import aiohttp
import pytest

from bot.gateway.git.pkt_line import ls_refs_request, read_ls_refs
from bot.gateway.server import HostGateway
from tests.harness.git import run_git
from tests.integration.gateway.conftest import API, GIT_TOKEN, GitServer


def url_with_token(gateway: HostGateway, agent_id: str = "k3f9ab") -> str:
    access = gateway.access(agent_id, API)
    token = access.token.get_secret_value()
    return access.clone_url.replace("http://", f"http://x-access-token:{token}@")


async def clone(url: str, target: Path, *options: str) -> str:
    return await asyncio.to_thread(run_git, target.parent, *options, "clone", url, str(target))


@pytest.mark.parametrize("version", ["0", "1", "2"])
async def test_a_clone_through_the_gateway(
    gateway: HostGateway, git_server: GitServer, tmp_path: Path, version: str
) -> None:
    git_server.repository("acme/api.git", "main", "release")
    target = tmp_path / "clone"
    await clone(url_with_token(gateway), target, "-c", f"protocol.version={version}")
    assert (target / "README").read_text().startswith("hello")
    assert run_git(target, "branch", "-r").splitlines()[-1].strip() == "origin/release"
    assert GIT_TOKEN not in (target / ".git" / "config").read_text()
    if version == "2":
        assert {r.headers.get("Git-Protocol") for r in git_server.requests} == {"version=2"}


async def test_a_compressed_body_passes_as_it_is(
    gateway: HostGateway, git_server: GitServer, session: aiohttp.ClientSession
) -> None:
    git_server.repository("acme/api.git", "main")
    access = gateway.access("k3f9ab", API)
    headers = {
        "Authorization": f"Bearer {access.token.get_secret_value()}",
        "Content-Type": "application/x-git-upload-pack-request",
        "Content-Encoding": "gzip",
        "Git-Protocol": "version=2",
    }
    url = access.clone_url + "/git-upload-pack"
    body = gzip.compress(ls_refs_request())
    async with session.post(url, data=body, headers=headers) as answer:
        assert read_ls_refs(await answer.read()).default == "main"
    assert git_server.requests[-1].headers["Content-Encoding"] == "gzip"


async def test_a_host_without_the_git_ending_is_served(
    gateway: HostGateway, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.repository("acme/api", "main")
    await clone(url_with_token(gateway), tmp_path / "clone")
    assert (tmp_path / "clone" / "README").exists()


async def test_a_renamed_repository_is_followed_on_the_same_host(
    gateway: HostGateway, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.repository("acme/renamed.git", "main")
    git_server.moved["/acme/api.git"] = "/acme/renamed.git"
    await clone(url_with_token(gateway), tmp_path / "clone")
    assert (tmp_path / "clone" / "README").exists()


async def test_another_host_never_gets_the_token(
    gateway: HostGateway, git_server: GitServer, tmp_path: Path
) -> None:
    seen: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1_000))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        git_server.moved["/acme/api"] = f"http://127.0.0.1:{port}/acme/api"
        with pytest.raises(subprocess.CalledProcessError):
            await clone(url_with_token(gateway), tmp_path / "clone")
    assert seen == []


async def test_pushing_is_refused_with_a_reason(
    gateway: HostGateway, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.repository("acme/api.git", "main")
    target = tmp_path / "clone"
    await clone(url_with_token(gateway), target)
    run_git(target, "commit", "--allow-empty", "-m", "mine")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await asyncio.to_thread(run_git, target, "push", "origin", "HEAD:refs/heads/x")
    assert "403" in caught.value.stderr
    assert not any("receive-pack" in request.path_qs for request in git_server.requests)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/git/acme/web.git/info/refs?service=git-upload-pack", 403, "only acme/api"),
        ("POST", "/git/acme/web.git/git-upload-pack", 403, "only acme/api"),
        ("POST", "/git/acme/web.git/git-receive-pack", 403, "only acme/api"),
        ("GET", "/git/acme/api.git/info/refs?service=git-receive-pack", 403, "not enabled here"),
        ("POST", "/git/acme/api.git/git-receive-pack", 403, "not enabled here"),
        ("GET", "/git/acme/api.git/info/refs", 403, "smart HTTP"),
        (
            "GET",
            "/git/acme/api.git/info/refs?service=git-upload-pack&service=git-receive-pack",
            403,
            "smart HTTP",
        ),
        ("GET", "/git/acme/api.git/HEAD", 404, ""),
        ("GET", "/git/acme/api.git/../web.git/info/refs?service=git-upload-pack", 403, "only"),
        ("GET", "/git/acme%2Fapi.git/x/info/refs?service=git-upload-pack", 400, "plainly"),
    ],
)
async def test_nothing_else_passes(
    gateway: HostGateway,
    git_server: GitServer,
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    status: int,
    text: str,
) -> None:
    git_server.repository("acme/api.git", "main")
    git_server.repository("acme/web.git", "main")
    access = gateway.access("k3f9ab", API)
    origin = access.clone_url.partition("/git/")[0]
    headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
    async with session.request(method, origin + path, headers=headers) as answer:
        assert answer.status == status
        assert text in await answer.text()
    assert git_server.requests == []


async def test_a_closed_or_foreign_agent_is_asked_for_credentials(
    gateway: HostGateway, git_server: GitServer, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    git_server.repository("acme/api.git", "main")
    with pytest.raises(subprocess.CalledProcessError):
        await clone(url_with_token(gateway, "other"), tmp_path / "foreign")
    await gateway.close("k3f9ab")
    with pytest.raises(subprocess.CalledProcessError):
        await clone(url_with_token(gateway), tmp_path / "closed")
    url = gateway.access("k3f9ab", API).clone_url + "/info/refs?service=git-upload-pack"
    async with session.get(url) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    assert git_server.requests == []


async def test_a_repository_that_the_host_hides_is_not_found(
    gateway: HostGateway, git_server: GitServer, tmp_path: Path
) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        await clone(url_with_token(gateway), tmp_path / "clone")
    assert "not found" in caught.value.stderr
