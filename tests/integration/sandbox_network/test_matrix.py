"""Who reaches whom from a live container, sealed and open. No packet leaves this machine.

Each row is stated for both networks. On the open one the internet, private networks beyond the
host and metadata services are not asked: there is a route to them, which is what is asserted.
"""

import docker
import pytest

from bot.domain.container import Container
from bot.runtime.spec import CONTAINER_PORT
from bridge.protocol import WorkspaceRequest
from tests.integration.sandbox_network.conftest import BRIDGE, REPO, SITE, NetworkBench, serving

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

METADATA = "169.254.169.254"
ANYWHERE = "0.0.0.0"
# Addresses that are documented to belong to nobody.
INTERNET = ("192.0.2.1", "198.51.100.1", "2001:db8::1")
NO_ROUTE = {"ENETUNREACH", "EADDRNOTAVAIL"}


async def routes(bench: NetworkBench, container: Container) -> list[str]:
    """The destinations in the kernel's table, as it writes them."""
    _, table = await bench.run(container, "cat", "/proc/net/route")
    return [line.split()[1] for line in table.splitlines()[1:]]


async def host_address(bench: NetworkBench) -> str:
    return await bench.runtime.network_gateway()


async def test_from_a_sealed_container_nothing_is_reached(
    sealed: NetworkBench, engine: docker.APIClient
) -> None:
    first, _ = await sealed.agent("k3f9ab")
    second, _ = await sealed.agent("p7qdxy")
    host = await host_address(sealed)  # of a network that no container is on
    _, interfaces = await sealed.run(first, "ls", "/sys/class/net")
    assert interfaces.split() == ["lo"]
    assert await routes(sealed, first) == []
    async with serving(ANYWHERE) as port:
        for target in (host, METADATA, *INTERNET):
            assert await sealed.reaches(first, target, port) in NO_ROUTE, target
        assert await sealed.reaches(first, "127.0.0.1", port) == "ECONNREFUSED"
    for container in (first, second):
        facts = engine.inspect_container(container.id)["NetworkSettings"]
        assert list(facts["Networks"]) == ["none"]
        assert not any(facts["Ports"].values())  # nothing is published
        assert not facts["IPAddress"]
    assert await sealed.reaches(first, "127.0.0.1", 3001) == "ECONNREFUSED"


async def test_inside_a_sealed_container_two_ports_are_open(sealed: NetworkBench) -> None:
    container, _ = await sealed.agent("k3f9ab")
    scan = (
        "import socket\n"
        "found = []\n"
        "for port in range(1, 65536):\n"
        "    with socket.socket() as one:\n"
        "        if not one.connect_ex(('127.0.0.1', port)) and one.getsockname()[1] != port:\n"
        "            found.append(port)\n"
        "print(found)\n"
    )
    _, output = await sealed.run(container, "python3", "-c", scan)
    assert output.strip() == "[3002, 3003]"  # the ways to the gateway and to the egress proxy


async def test_a_sealed_container_works_all_the_same(sealed: NetworkBench) -> None:
    container, address = await sealed.agent("k3f9ab")
    assert str(container.endpoint).startswith("unix:/")
    access = sealed.gateway.access("k3f9ab", REPO)
    request = WorkspaceRequest(
        repository=str(REPO), clone_url=access.clone_url, target_branch="agent/k3f9ab"
    )
    ready = await sealed.bridge.prepare(address, request)
    assert ready.source_branch == "main"
    assert (await sealed.bridge.diff(address)).files == ()
    [listed] = await sealed.runtime.list()
    assert listed == await sealed.runtime.find("k3f9ab") == container
    await sealed.runtime.stop("k3f9ab")
    again = await sealed.runtime.resume("k3f9ab")
    assert again.endpoint == container.endpoint
    await sealed.bridge.wait_ready(address, 30)


async def test_tools_are_shut_out_of_the_folders(sealed: NetworkBench) -> None:
    container, _ = await sealed.agent("k3f9ab")
    for path in ("/run/bridge", "/run/gateway"):
        code, output = await sealed.run(container, "ls", path)
        assert code != 0, path
        assert "Permission denied" in output
    for path in ("/run/bridge/bridge.sock", "/run/gateway/gateway.sock"):
        code, output = await sealed.run(
            container, "curl", "-s", "--unix-socket", path, "http://x/health"
        )
        assert code == 7, output  # no connection
    code, output = await sealed.run(container, "touch", "/run/gateway/x", user=BRIDGE)
    assert code != 0


async def test_what_tools_may_fetch_goes_through_the_proxy(
    sealed: NetworkBench, site: None
) -> None:
    container, _ = await sealed.agent("k3f9ab")

    async def fetch(url: str) -> str:
        proxy = ("--proxy", "http://127.0.0.1:3003", "--noproxy", "")
        _, output = await sealed.run(container, "curl", "-sS", "-m", "10", *proxy, url)
        return output

    assert await fetch(f"http://{SITE}/") == "hello"
    assert "not on the allow-list" in await fetch("http://evil.example/")
    assert "403" in await fetch("https://evil.example/")
    assert "private address" in await fetch(f"http://{METADATA}/latest/meta-data/")
    assert "closed" in await fetch(f"http://{SITE}:8080/")
    assert [(who, denial.host) for who, denial in sealed.denials] == [
        ("k3f9ab", host) for host in ("evil.example", "evil.example", METADATA, SITE)
    ]
    await sealed.gateway.close("k3f9ab")
    assert await fetch(f"http://{SITE}/") != "hello"


async def test_what_an_open_container_reaches_and_what_not(
    opened: NetworkBench, engine: docker.APIClient
) -> None:
    first, _ = await opened.agent("k3f9ab")
    second, _ = await opened.agent("p7qdxy")
    host = await host_address(opened)
    facts = engine.inspect_container(second.id)["NetworkSettings"]
    [network] = facts["Networks"].values()
    # Another agent: closed, at its own address and at its published port.
    assert await opened.reaches(first, network["IPAddress"], 3001) == "silent"
    published = facts["Ports"][CONTAINER_PORT]
    assert [binding["HostIp"] for binding in published] == ["127.0.0.1"]
    assert await opened.reaches(first, host, int(published[0]["HostPort"])) == "ECONNREFUSED"
    # The host: open on all interfaces, closed on its loopback.
    async with serving(ANYWHERE) as port:
        assert await opened.reaches(first, host, port) == "open"
    async with serving("127.0.0.1") as port:
        assert await opened.reaches(first, host, port) == "ECONNREFUSED"
    # Everything else: there is a route. This is what SECURITY.md tells how to close.
    assert "00000000" in await routes(opened, first)
