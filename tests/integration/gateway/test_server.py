"""Where the gateway listens, and what it remembers."""

import socket
from pathlib import Path

import aiohttp
import pytest

from bot.config import Settings
from bot.errors import ConfigurationError
from bot.gateway.server import HostGateway
from tests.integration.gateway.conftest import API


async def test_the_address_and_the_token_are_the_same_after_a_restart(
    settings: Settings, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    seen = []
    for _ in range(2):
        gateway = HostGateway(settings, tmp_path, session)
        await gateway.start("127.0.0.1")
        seen.append(gateway.access("k3f9ab", API))
        await gateway.stop()
        await gateway.stop()
    assert seen[0] == seen[1]
    assert seen[0].clone_url.endswith("/git/acme/api.git")
    assert seen[0].model_base_url.endswith("/model/v1")


async def test_a_taken_port_is_a_clear_error(
    gateway: HostGateway, settings: Settings, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    second = HostGateway(settings, tmp_path / "data", session)
    with pytest.raises(ConfigurationError, match=r"taken.*GATEWAY_PORT.*gateway\.json"):
        await second.start("127.0.0.1")


async def test_the_port_of_the_settings_wins(
    settings: Settings, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fixed = settings.model_copy(update={"gateway_port": port})
    gateway = HostGateway(fixed, tmp_path, session)
    await gateway.start("127.0.0.1", advertised="host.internal")
    assert gateway.access("a", API).model_base_url == f"http://host.internal:{port}/model/v1"
    await gateway.stop()


async def test_an_address_of_another_machine_is_a_clear_error(
    settings: Settings, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    gateway = HostGateway(settings, tmp_path, session)
    with pytest.raises(ConfigurationError, match="GATEWAY_HOST"):
        await gateway.start("192.0.2.1")


@pytest.mark.parametrize("content", ["", "{}", '{"port": 0}', '{"port": 99999}', "[1]", "\x00"])
async def test_a_damaged_memory_of_the_port_is_a_clear_error(
    settings: Settings, session: aiohttp.ClientSession, tmp_path: Path, content: str
) -> None:
    gateway = HostGateway(settings, tmp_path, session)
    (tmp_path / "gateway.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"gateway\.json"):
        await gateway.start("127.0.0.1")
