"""Sealed agents: each has sockets of its own, and they name their agent."""

import asyncio
import os
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.egress import Denial
from bot.errors import ConfigurationError
from bot.gateway import listeners
from bot.gateway.server import HostGateway
from bot.gateway.socket_dirs import SocketDirStore
from bridge.container import EGRESS_SOCKET_NAME, GATEWAY_SOCKET_NAME
from tests.integration.gateway.conftest import API

OTHER = RepoRef("acme", "web")


@pytest.fixture
async def sealed(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> AsyncIterator[HostGateway]:
    gateway = HostGateway(settings, tmp_path / "data", session)
    await gateway.open("k3f9ab", API)
    await gateway.start_sealed()
    await gateway.open("p7qdxy", OTHER)
    yield gateway
    await gateway.stop()


def sockets(gateway: HostGateway, agent_id: str) -> Path:
    folders = gateway.access(agent_id, API).folders
    assert folders is not None
    return folders.gateway


def short(path: Path) -> Path:
    """The same path, short enough for an address: the folders of tests have long names."""
    link = Path(tempfile.mkdtemp(prefix="t")) / "s"
    link.symlink_to(path.parent)
    return link / path.name


async def ask(gateway: HostGateway, by: str, token_of: str) -> int:
    """The status of a request through one agent's socket with one agent's token."""
    access = gateway.access(token_of, API)
    connector = aiohttp.UnixConnector(str(short(sockets(gateway, by) / GATEWAY_SOCKET_NAME)))
    headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(access.model_base_url + "/models", headers=headers) as answer,
    ):
        return answer.status


async def fetch(path: Path) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(short(path)))
    writer.write(b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_a_socket_takes_the_token_of_its_own_agent_alone(sealed: HostGateway) -> None:
    assert await ask(sealed, "k3f9ab", "k3f9ab") != 401
    assert await ask(sealed, "p7qdxy", "p7qdxy") != 401
    assert await ask(sealed, "k3f9ab", "p7qdxy") == 401
    assert await ask(sealed, "p7qdxy", "k3f9ab") == 401


async def test_what_containers_are_told_lies_inside_them(sealed: HostGateway) -> None:
    access = sealed.access("k3f9ab", API)
    assert access.model_base_url.startswith("http://127.0.0.1:3002/")
    assert access.clone_url.startswith("http://127.0.0.1:3002/")


async def test_a_denial_names_the_agent_whose_socket_it_was(sealed: HostGateway) -> None:
    denials: list[tuple[str, Denial]] = []
    sealed.denied = lambda *entry: denials.append(entry)
    answer = await fetch(sockets(sealed, "p7qdxy") / EGRESS_SOCKET_NAME)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert [(who, denial.host) for who, denial in denials] == [("p7qdxy", "evil.example")]


async def test_only_the_group_may_enter(sealed: HostGateway) -> None:
    folders = sealed.access("k3f9ab", API).folders
    assert folders is not None
    for path, mode in (
        (folders.gateway.parent.parent, 0o700),
        (folders.gateway, 0o750),
        (folders.bridge, 0o2770),
        (folders.gateway / GATEWAY_SOCKET_NAME, 0o660),
        (folders.gateway / EGRESS_SOCKET_NAME, 0o660),
    ):
        facts = path.stat()
        assert stat.S_IMODE(facts.st_mode) == mode, path
        assert path.name == "sockets" or facts.st_gid == folders.gid
    assert folders.gid == (os.getgid() or 10_001)


async def test_closing_cuts_the_connections_and_takes_the_folders_away(
    sealed: HostGateway,
) -> None:
    path = sockets(sealed, "k3f9ab") / EGRESS_SOCKET_NAME
    reader, writer = await asyncio.open_unix_connection(str(short(path)))
    writer.write(b"CONN")
    await fetch(path)  # connections are taken in order, so this one's predecessor is served by now
    for _ in range(2):
        await sealed.close("k3f9ab")
    assert await reader.read() == b""
    writer.close()
    assert not path.parent.parent.exists()
    assert await ask(sealed, "p7qdxy", "p7qdxy") != 401
    await sealed.open("k3f9ab", API)
    assert await ask(sealed, "k3f9ab", "k3f9ab") != 401


async def test_a_listener_that_closes_slowly_does_not_delay_the_others(
    sealed: HostGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing, go_on = asyncio.Event(), asyncio.Event()
    shut = listeners._shut

    async def slow(listener: listeners._AgentListener) -> None:
        closing.set()
        await go_on.wait()
        await shut(listener)

    monkeypatch.setattr(listeners, "_shut", slow)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(sealed.close("k3f9ab"))
        await closing.wait()
        await sealed.open("q2w4er", OTHER)
        again = group.create_task(sealed.open("k3f9ab", API))
        assert await ask(sealed, "q2w4er", "q2w4er") != 401
        assert not again.done()  # the same agent's new sockets wait until the old ones are gone
        go_on.set()
    assert await ask(sealed, "k3f9ab", "k3f9ab") != 401


async def test_after_a_restart_the_same_folders_have_new_sockets(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    first = HostGateway(settings, tmp_path / "data", session)
    await first.start_sealed()
    for agent_id in ("k3f9ab", "ended1"):
        await first.open(agent_id, API)
    folder = sockets(first, "k3f9ab")
    inode = folder.stat().st_ino
    (folder.parent / "bridge" / "bridge.sock").touch()
    await first.stop()
    await first.stop()

    second = HostGateway(settings, tmp_path / "data", session)
    await second.open("k3f9ab", API)
    await second.start_sealed()
    assert folder.stat().st_ino == inode  # a container that lives on has it mounted
    assert (folder.parent / "bridge" / "bridge.sock").exists()
    assert await ask(second, "k3f9ab", "k3f9ab") != 401
    assert not sockets(second, "ended1").exists()
    await second.stop()


async def test_a_folder_that_cannot_be_made_is_said_at_the_start(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    gateway = HostGateway(settings, tmp_path / "data", session)
    (tmp_path / "data" / "sockets").write_text("in the way")
    with pytest.raises(ConfigurationError, match="SANDBOX_NETWORK=open"):
        await gateway.start_sealed()


@pytest.mark.parametrize(("user", "group"), [(10_002, 1_000), (1_000, 10_002)])
def test_a_bot_that_is_the_tools_user_is_refused(tmp_path: Path, user: int, group: int) -> None:
    with pytest.raises(ConfigurationError, match="another user"):
        SocketDirStore(tmp_path / "sockets", user, group).prepare_root()
    SocketDirStore(tmp_path / "sockets", user - 1, group - 1).prepare_root()


async def test_a_first_line_names_the_agent_of_a_connection(gateway: HostGateway) -> None:
    async def told(first: bytes, token_of: str) -> bytes:
        access = gateway.access(token_of, API)
        host, _, port = access.model_base_url.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port.partition("/")[0]))
        bearer = access.token.get_secret_value().encode()
        head = b"GET /model/v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        for byte in first:  # in as many pieces as there are bytes
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(head + b"Authorization: Bearer " + bearer + b"\r\n\r\n")
        try:
            return (await reader.read())[:12]
        except ConnectionError:
            return b""
        finally:
            writer.close()

    await gateway.open("p7qdxy", OTHER)
    own = gateway.tokens.gateway_token("k3f9ab").get_secret_value().encode()
    other = gateway.tokens.gateway_token("p7qdxy").get_secret_value().encode()
    assert await told(b"", "k3f9ab") not in (b"", b"HTTP/1.1 401")
    assert await told(b"THREADSMITH " + own + b"\n", "k3f9ab") not in (b"", b"HTTP/1.1 401")
    assert await told(b"THREADSMITH " + other + b"\n", "k3f9ab") == b"HTTP/1.1 401"
    assert await told(b"THREADSMITH agt_nobody.x\n", "k3f9ab") == b""
    assert await told(b"THREADSMITH " + b"x" * 300, "k3f9ab") == b""
    await gateway.close("k3f9ab")
    assert await told(b"THREADSMITH " + own + b"\n", "k3f9ab") == b""
