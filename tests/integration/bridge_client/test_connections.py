"""Unix sockets in a folder that a hostile container shares with the bot."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.bridge_client import HttpBridge
from bot.domain.container import BridgeAddress
from bot.errors import BridgeUnreachable
from tests.integration.bridge_client.conftest import TOKEN, FakeBridge


@asynccontextmanager
async def listening(fake: FakeBridge, path: Path) -> AsyncIterator[BridgeAddress]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    with socket.socket(socket.AF_UNIX) as listener:
        # A relative name, because the whole one may be longer than an address.
        folder = os.open(path.parent, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        await web.SockSite(runner, listener).start()
        yield BridgeAddress(f"unix:{path}", SecretStr(TOKEN))
        await runner.cleanup()


async def test_a_path_may_be_longer_than_an_address(
    fake: FakeBridge, bridge: HttpBridge, tmp_path: Path
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    fake.answers("/agent/interrupt", {})
    async with listening(fake, folder / "bridge.sock") as address:
        await bridge.interrupt(address, 1)
    assert [request.path for request in fake.requests] == ["/agent/interrupt"]


async def test_a_link_to_another_socket_is_not_followed(
    fake: FakeBridge, bridge: HttpBridge, tmp_path: Path
) -> None:
    fake.answers("/agent/interrupt", {})
    async with listening(fake, tmp_path / "engine.sock"):
        (tmp_path / "bridge.sock").symlink_to(tmp_path / "engine.sock")
        address = BridgeAddress(f"unix:{tmp_path}/bridge.sock", SecretStr(TOKEN))
        with pytest.raises(BridgeUnreachable):
            await bridge.interrupt(address, 1)
    assert not fake.requests


@pytest.mark.parametrize("kind", ["file", "fifo", "folder", "nothing", "shut"])
async def test_what_is_no_listening_socket_is_a_bridge_that_is_away(
    bridge: HttpBridge, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "bridge.sock"
    match kind:
        case "file":
            path.write_text("x")
        case "fifo":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "shut":
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(path))
    with pytest.raises(BridgeUnreachable):
        await bridge.status(BridgeAddress(f"unix:{path}", SecretStr(TOKEN)))


async def test_nothing_stays_open(fake: FakeBridge, bridge: HttpBridge, tmp_path: Path) -> None:
    fake.answers("/agent/interrupt", {})
    async with listening(fake, tmp_path / "bridge.sock") as address:
        await bridge.interrupt(address, 1)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(50):
            await bridge.interrupt(address, 1)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 2
