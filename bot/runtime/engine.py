"""The container engine, spoken to in blocking calls: `DockerRuntime` runs them on threads."""

import contextlib
import logging
import secrets
import socket
import threading
from typing import Any, Self

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from bot.agents.ports import Container, ContainerSpec
from bot.errors import EngineError
from bot.runtime.refusals import conflict_allowed, image_needed, speaking
from bot.runtime.spec import (
    CONTAINER_PORT,
    LABEL_AGENT,
    LABEL_CONFIG_HASH,
    LOOPBACK,
    Deployment,
    broken_promises,
)

DEFAULT_SOCKET = "unix:///var/run/docker.sock"
OLDEST_API = (1, 41)
_ATTEMPTS = 5
# A process that dies while it starts (wrong architecture, missing module) is noticed here; the
# bridge needs longer than this to boot, so the wait costs a good start nothing.
_SETTLE_SECONDS = 0.15
_REMOVAL_SECONDS = 20
_LOG_TAIL_BYTES = 4_000

_log = logging.getLogger(__name__)

Json = dict[str, Any]


class Engine:
    """The few calls that the runtime needs. Every method blocks and raises EngineError."""

    def __init__(self, api: docker.APIClient, address: str, deployment: Deployment) -> None:
        self._api = api
        self._address = address
        self._deployment = deployment
        self._network_lock = threading.Lock()

    @classmethod
    def connect(
        cls, deployment: Deployment, address: str | None, timeout_seconds: int, connections: int
    ) -> Self:
        """Open a client; `address` None means what the environment says, as for the CLI."""
        options = {} if address else kwargs_from_env()
        address = str(options.pop("base_url", address or DEFAULT_SOCKET))
        with speaking(address):
            _knock(address)
            api = docker.APIClient(
                address,
                "auto",
                timeout_seconds,
                tls=options.get("tls", False),
                max_pool_size=connections,
            )
        return cls(api, address, deployment)

    def close(self) -> None:
        """Give the connections back."""
        self._api.close()

    def check(self, image: str) -> None:
        """Raise EngineError, with the next step, unless containers of `image` could start."""
        with speaking(self._address):
            self._api.ping()
            version = self._api.version()["ApiVersion"]
            if tuple(int(part) for part in version.split(".")) < OLDEST_API:
                raise EngineError(
                    f"The Docker engine is too old: it speaks API {version}, and 1.41 or newer "
                    "(Docker 20.10) is needed. Ask an admin to upgrade it."
                )
            wanted = self._deployment.engine_runtime
            if wanted and wanted not in self._api.info().get("Runtimes", {}):
                raise EngineError(
                    f"The engine knows no runtime `{wanted}`. Ask an admin to install it, or to "
                    "clear CONTAINER_RUNTIME."
                )
            with image_needed(image):
                self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # an open stub

    def network_gateway(self) -> str:
        """Return the host's IPv4 address on our network, which is made when missing."""
        name = self._deployment.network_name
        with speaking(self._address), self._network_lock:
            network = self._our_network() or self._make_network()
        if network is None:
            raise EngineError(
                "The container network could not be made. Ask an admin.",
                f"a network named {name} exists, and it is not ours",
            )
        for entry in network["IPAM"]["Config"] or ():
            gateway = str(entry.get("Gateway", "")).partition("/")[0]
            if "." in gateway:
                return gateway
        raise EngineError(
            "The container network has no address of the host. Ask an admin.",
            f"network {name} has no IPv4 gateway: {network['IPAM']}",
        )

    def _our_network(self) -> Json | None:
        found = self._api.networks(filters={"label": self._deployment.label_filter()})
        ours = [item for item in found if item["Name"] == self._deployment.network_name]
        # The engine lets two processes make the same name at once; the older one counts.
        ours.sort(key=lambda item: str(item["Created"]))
        network: Json | None = self._api.inspect_network(ours[0]["Id"]) if ours else None
        return network

    def _make_network(self) -> Json | None:
        made = None
        with conflict_allowed():
            name, config = self._deployment.network_name, self._deployment.network_config()
            made = self._api.create_network(name, **config)["Id"]
        network = self._our_network()
        if made and network and network["Id"] != made:
            self._api.remove_network(made)
        return network

    def forget_network(self) -> None:
        """Remove our network; one that is gone, or still used by a container, is left alone."""
        with speaking(self._address), self._network_lock:
            network = self._our_network()
            if network and not network["Containers"]:
                with contextlib.suppress(NotFound):
                    self._api.remove_network(network["Id"])

    def containers(self, agent_id: str | None = None) -> list[Container]:
        """Return our containers in any state; with `agent_id` that agent's only."""
        with speaking(self._address):
            return [_container(item) for item in self._listed(agent_id)]

    def _listed(self, agent_id: str | None) -> list[Json]:
        filters = {"label": self._deployment.label_filter(agent_id)}
        return list(self._api.containers(all=True, filters=filters))

    def start(self, spec: ContainerSpec) -> Container:
        """Start the agent's container, or find the same one running; on failure undo our part."""
        config = self._deployment.container_config(spec)
        self.network_gateway()
        with speaking(self._address), image_needed(spec.image):
            for item in self._listed(spec.agent_id):
                same = item["Labels"].get(LABEL_CONFIG_HASH) == config["Labels"][LABEL_CONFIG_HASH]
                if same and item["State"] == "running":
                    return _container(item)
                self._remove_container(item["Id"])
            made = self._make_volumes(spec.agent_id)
            container_id: str | None = None
            try:
                container_id = self._create(spec.agent_id, config)
                self._start(container_id)
                return self._verified(container_id, config)
            except BaseException:
                self._undo(container_id, made)
                raise

    def _make_volumes(self, agent_id: str) -> list[str]:
        """Return the volumes that were not there before: a leftover holds somebody's work."""
        there = {volume["Name"] for volume in self._volumes(agent_id)}
        wanted = self._deployment.volume_names(agent_id)
        for name in wanted:
            self._api.create_volume(name, labels=self._deployment.labels(agent_id))
        return [name for name in wanted if name not in there]

    def _volumes(self, agent_id: str) -> list[Json]:
        filters = {"label": self._deployment.label_filter(agent_id)}
        return list(self._api.volumes(filters=filters)["Volumes"] or ())

    def _create(self, agent_id: str, config: Json) -> str:
        name = self._deployment.container_name(agent_id)
        for _ in range(_ATTEMPTS):
            try:
                made: Json = self._api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]  # an open stub
                return str(made["Id"])
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                # The name is taken by something that is not ours, or by one that is still going.
                name = f"{self._deployment.container_name(agent_id)}-{secrets.token_hex(2)}"
        raise EngineError("No name was free for the container. Try again.", f"{name} is taken")

    def _start(self, container_id: str) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self._api.start(container_id)
                return
            except APIError as error:
                text = str(error.explanation)
                if not ("port is already allocated" in text or "address already in use" in text):
                    raise
                _log.warning("attempt %d: the engine picked a port in use", attempt + 1)
        raise EngineError("No port was free for the container. Try again.", "ports are taken")

    def _verified(self, container_id: str, config: Json) -> Container:
        # A timeout is the good case: the process is still there.
        with contextlib.suppress(requests.exceptions.Timeout, requests.exceptions.ConnectionError):
            self._api.wait(container_id, timeout=_SETTLE_SECONDS, condition="not-running")  # type: ignore[arg-type]  # the stub knows whole seconds only
        facts = self._api.inspect_container(container_id)
        if not facts["State"]["Running"]:
            raise EngineError(
                "The container stopped as soon as it had started. Ask an admin to read the log.",
                f"exit code {facts['State'].get('ExitCode')}, {facts['State'].get('Error')!r}; "
                f"last output: {self._tail(container_id)!r}",
            )
        if broken := broken_promises(config["HostConfig"], facts["HostConfig"]):
            raise EngineError(
                "The engine did not apply the sandbox's limits, so nothing was started. Ask an "
                "admin to read the log.",
                "; ".join(broken),
            )
        ports = (facts["NetworkSettings"]["Ports"] or {}).get(CONTAINER_PORT) or ()
        published = [str(port["HostPort"]) for port in ports if port["HostIp"] == LOOPBACK]
        if not published:
            raise EngineError("The container got no port. Try again.", f"ports: {ports!r}")
        agent_id = config["Labels"][LABEL_AGENT]
        return Container(container_id, agent_id, True, f"http://{LOOPBACK}:{published[0]}")

    def logs(self, agent_id: str) -> str:
        """Return the last output of the agent's container, at most 4 kB; empty when it is gone."""
        with speaking(self._address):
            return "".join(self._tail(item["Id"]) for item in self._listed(agent_id)[:1])

    def _tail(self, container_id: str) -> str:
        try:
            output = self._api.logs(container_id, tail=40)
        except NotFound:
            return ""
        return output[-_LOG_TAIL_BYTES:].decode(errors="replace")

    def _undo(self, container_id: str | None, volumes: list[str]) -> None:
        """Remove what a failed start has made; its own failure must not hide the first one."""
        try:
            if container_id is not None:
                self._remove_container(container_id)
            for name in volumes:
                self._remove_volume(name)
        except (DockerException, requests.RequestException, EngineError) as error:
            _log.warning("a failed start left something behind: %s", error)

    def remove(self, agent_id: str) -> None:
        """Remove the agent's containers and volumes; what is gone or going is a success."""
        with speaking(self._address):
            for item in self._listed(agent_id):
                self._remove_container(item["Id"])
            for volume in self._volumes(agent_id):
                self._remove_volume(volume["Name"])

    def _remove_container(self, container_id: str) -> None:
        with contextlib.suppress(NotFound):
            try:
                self._api.remove_container(container_id, v=True, force=True)
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                # Somebody is removing it right now: its end is what we want too.
                self._api.wait(container_id, timeout=_REMOVAL_SECONDS, condition="removed")

    def _remove_volume(self, name: str) -> None:
        with contextlib.suppress(NotFound):
            self._api.remove_volume(name, force=True)


def _container(item: Json) -> Container:
    ports = item.get("Ports") or ()
    published = [
        port["PublicPort"]
        for port in ports
        if f"{port.get('PrivatePort')}/{port.get('Type')}" == CONTAINER_PORT
        and port.get("IP") == LOOPBACK
        and port.get("PublicPort")
    ]
    running = item["State"] == "running"
    endpoint = f"http://{LOOPBACK}:{published[0]}" if running and published else None
    return Container(item["Id"], item["Labels"].get(LABEL_AGENT, ""), running, endpoint)


def _knock(address: str) -> None:
    """Fail on a dead socket before the SDK does, which would leave its own sockets open."""
    if address.startswith("unix://"):
        path = "/" + address.removeprefix("unix://").lstrip("/")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.connect(path)
