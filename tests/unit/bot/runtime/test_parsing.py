"""Reading what the engine reports."""

from typing import Any

import pytest

from bot.domain.container import (
    Container,
    Exit,
)
from bot.runtime.parsing import (
    inspected_container,
    is_running,
    running_container,
    sizes_of_volumes,
)

LABELS = {"threadsmith.agent": "k3f9ab"}
PORT = {"IP": "127.0.0.1", "PrivatePort": 3001, "PublicPort": 32768, "Type": "tcp"}


def inspected(ports: Any = None, **state: Any) -> dict[str, Any]:
    ended = {"Status": "exited", "Running": False, "ExitCode": 0, "OOMKilled": False}
    return {
        "Id": "c1",
        "Config": {"Labels": LABELS},
        "State": ended | state,
        "NetworkSettings": {"Ports": ports},
    }


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, Exit(0, out_of_memory=False)),
        ({"ExitCode": 137, "OOMKilled": True}, Exit(137, out_of_memory=True)),
        ({"Status": "dead", "ExitCode": 137}, Exit(137, out_of_memory=False)),
        ({"Status": "removing", "ExitCode": 143}, Exit(143, out_of_memory=False)),
        ({"Status": "created"}, None),
    ],
)
def test_what_does_not_run_tells_how_it_ended(state: dict[str, Any], expected: Exit | None) -> None:
    assert inspected_container(inspected(**state)) == Container(
        "c1", "k3f9ab", False, None, expected
    )


def test_memory_that_ran_out_in_a_child_is_no_exit_while_it_runs() -> None:
    ports = {"3001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]}
    facts = inspected(ports, Status="running", Running=True, OOMKilled=True)
    assert inspected_container(facts) == Container(
        "c1", "k3f9ab", True, "http://127.0.0.1:32768", None
    )


@pytest.mark.parametrize("ports", [None, {}, {"3001/tcp": None}, {"3001/tcp": []}])
def test_no_published_port_is_no_endpoint(ports: Any) -> None:
    facts = inspected(ports, Status="running", Running=True)
    assert inspected_container(facts).endpoint is None


def test_a_port_beyond_the_loopback_is_no_endpoint() -> None:
    listed = {"Id": "c1", "Labels": LABELS, "Ports": [PORT | {"IP": "0.0.0.0"}]}
    assert running_container(listed).endpoint is None
    published = {"3001/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}]}
    facts = inspected(published, Status="running", Running=True)
    assert inspected_container(facts).endpoint is None


def test_a_list_and_an_inspection_agree() -> None:
    listed = {"Id": "c1", "Labels": LABELS, "Ports": [PORT]}
    ports = {"3001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]}
    facts = inspected(ports, Status="running", Running=True)
    assert running_container(listed) == inspected_container(facts)


@pytest.mark.parametrize(
    ("state", "running"),
    [("running", True), ("paused", True), ("exited", False), ("created", False), ("dead", False)],
)
def test_a_paused_container_counts_as_running(state: str, running: bool) -> None:
    assert is_running({"State": state}) is running


def test_sizes_are_those_of_this_deployment_by_agent() -> None:
    ours = {"threadsmith.instance": "one"}

    def volume(agent: str, instance: str, size: int) -> dict[str, Any]:
        labels = {"threadsmith.agent": agent, "threadsmith.instance": instance}
        return {"Labels": labels, "UsageData": {"Size": size}}

    items: list[dict[str, Any]] = [
        volume("k3f9ab", "one", 5),
        volume("k3f9ab", "one", 7),
        volume("p7qdxy", "one", -1),  # not measured
        volume("k3f9ab", "two", 100),
        {"Labels": None, "UsageData": None},
    ]
    assert sizes_of_volumes(items, ours) == {"k3f9ab": 12, "p7qdxy": 0}
