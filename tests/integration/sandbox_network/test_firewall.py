"""The firewall rules that SECURITY.md gives for open networks, run as they are written there."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import docker
import pytest

from tests.integration.sandbox_network.conftest import REPO, NetworkBench, serving

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("iptables") is None,
        reason="only root may set rules, and only where there is a firewall",
    ),
]

PAGE = Path(__file__).parents[3] / "SECURITY.md"
PRIVATE = ("169.254.169.254", "10.1.2.3", "192.168.1.1", "100.64.0.1")


def rules() -> list[str]:
    block: str
    [block] = re.findall(r"```sh\n(iptables .*?)```", PAGE.read_text(), re.DOTALL)
    return block.splitlines()


def iptables(*arguments: str) -> str:
    done = subprocess.run(
        ["iptables", "-w", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def applied(interface: str, gateway_port: int) -> Iterator[None]:
    """The rules, for this interface alone; they go with the block."""
    done: list[list[str]] = []
    try:
        for rule in rules():
            words = shlex.split(rule.replace("br-…", interface).replace("PORT", str(gateway_port)))
            iptables(*words[1:])
            done.append(words[1:])
        yield
    finally:
        for words in reversed(done):
            iptables("-D", *words[1:])


def dropped(interface: str) -> int:
    """How many packets from this interface the engine's own chain has dropped."""
    lines = iptables("-nvxL", "DOCKER-USER").splitlines()
    return sum(int(line.split()[0]) for line in lines if interface in line and "DROP" in line)


async def test_the_rules_close_what_is_open(opened: NetworkBench, engine: docker.APIClient) -> None:
    container, address = await opened.agent("k3f9ab")
    [network] = engine.inspect_container(container.id)["NetworkSettings"]["Networks"].values()
    interface = f"br-{network['NetworkID'][:12]}"
    host = await opened.runtime.network_gateway()
    gateway = urlsplit(opened.gateway.access("k3f9ab", REPO).model_base_url)
    assert gateway.port
    async with serving("0.0.0.0") as port:
        assert await opened.reaches(container, host, port) == "open"
        with applied(interface, gateway.port):
            assert await opened.reaches(container, host, port) == "silent"
            for number, target in enumerate(PRIVATE, 1):
                assert await opened.reaches(container, target, 80) == "silent", target
                assert dropped(interface) >= number  # not only silent: stopped on this host
            # What the agent needs goes on: the gateway, and the bot's way to the bridge.
            assert await opened.reaches(container, host, gateway.port) == "open"
            await opened.bridge.status(address)
        assert await opened.reaches(container, host, port) == "open"
    for chain in ("INPUT", "DOCKER-USER"):
        assert interface not in iptables("-S", chain)
