"""Reads the engine's JSON about containers and volumes into the values of the bot."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from bot.domain.container import (
    Container,
    Exit,
)
from bot.runtime.spec import CONTAINER_PORT, LABEL_AGENT
from bridge.container import BRIDGE_FOLDER, BRIDGE_SOCKET_NAME, LOOPBACK

Json = dict[str, Any]


def is_running(item: Json) -> bool:
    """Checks an entry of a list; a paused container counts as running, although it is silent."""
    return item["State"] in ("running", "paused")


def running_container(item: Json) -> Container:
    """Reads an entry of a list; only for running containers, because a list has no exit codes."""
    ports = [
        port["PublicPort"]
        for port in item.get("Ports") or ()
        if f"{port.get('PrivatePort')}/{port.get('Type')}" == CONTAINER_PORT
        and port.get("IP") == LOOPBACK
        and port.get("PublicPort")
    ]
    endpoint = _socket(item) or _endpoint(ports)
    return Container(item["Id"], item["Labels"].get(LABEL_AGENT, ""), True, endpoint)


def inspected_container(facts: Json) -> Container:
    """Reads the long form, of a container in any state."""
    agent_id = (facts["Config"]["Labels"] or {}).get(LABEL_AGENT, "")
    state = facts["State"]
    if not state["Running"]:
        # The engine forgets OOMKilled at the next start, and sets it as well when only a child
        # was killed: it says that memory ran out, not that this ended the container.
        ran = state["Status"] != "created"
        ended = Exit(int(state["ExitCode"]), bool(state["OOMKilled"])) if ran else None
        return Container(facts["Id"], agent_id, False, None, ended)
    published = (facts["NetworkSettings"]["Ports"] or {}).get(CONTAINER_PORT) or ()
    ports = [port["HostPort"] for port in published if port["HostIp"] == LOOPBACK]
    return Container(facts["Id"], agent_id, True, _socket(facts) or _endpoint(ports))


def newest_volumes(items: Iterable[Json]) -> dict[str, float]:
    """Reads a list of volumes: their agents, and when the newest was made, since the epoch."""
    newest: dict[str, float] = {}
    for item in items:
        agent_id = (item["Labels"] or {}).get(LABEL_AGENT, "")
        if not agent_id:
            continue
        made = datetime.fromisoformat(item["CreatedAt"]).timestamp()
        newest[agent_id] = max(made, newest.get(agent_id, made))
    return newest


def sizes_of_volumes(items: Iterable[Json], labels: Mapping[str, str]) -> dict[str, int]:
    """Reads a list of measured volumes: how many bytes those with these labels hold, by agent."""
    sizes: dict[str, int] = {}
    for item in items:
        marks = item.get("Labels") or {}
        agent_id = marks.get(LABEL_AGENT, "")
        if agent_id and labels.items() <= marks.items():
            size = int((item.get("UsageData") or {}).get("Size", 0))
            sizes[agent_id] = sizes.get(agent_id, 0) + max(size, 0)  # -1: not measured
    return sizes


def _socket(item: Json) -> str | None:
    """Returns the bridge's socket on this host, if the container shares a folder for it."""
    for mount in item.get("Mounts") or ():
        if mount.get("Type") == "bind" and mount.get("Destination") == BRIDGE_FOLDER:
            return f"unix:{mount['Source']}/{BRIDGE_SOCKET_NAME}"
    return None


def _endpoint(ports: list[str] | list[int]) -> str | None:
    return f"http://{LOOPBACK}:{ports[0]}" if ports else None
