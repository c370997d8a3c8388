"""Calls the container engine, blocking; `DockerRuntime` runs these calls on threads."""

import contextlib
import logging
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import docker
import requests
from docker.errors import APIError, DockerException, NotFound

from bot.domain.container import (
    Container,
    ContainerSpec,
)
from bot.errors import EngineError
from bot.runtime.errors import connect, engine_errors, missing_image_errors, resume_errors
from bot.runtime.events import EngineEvents, EventStream
from bot.runtime.network import Network
from bot.runtime.parsing import inspected_container, is_running, running_container
from bot.runtime.spec import LABEL_CONFIG_HASH, Deployment, broken_promises
from bot.runtime.survey import Survey, survey_engine, why_not_sealed
from bot.runtime.volumes import Volumes

OLDEST_API = (1, 41)
_ATTEMPTS = 5
# A process that dies while it starts (wrong architecture, missing module) is noticed here; the
# bridge needs longer than this to boot, so the wait costs a good start nothing.
_SETTLE_SECONDS = 0.15
_REMOVAL_SECONDS = 20
# From the polite signal to the kill; the bridge needs 2 s at most.
GRACE_SECONDS = 5
_LOG_TAIL_BYTES = 4_000
# The engine's own pick of a port can be somebody else's by the time it is bound.
_PORT_TROUBLE = ("port is already allocated", "address already in use")

_log = logging.getLogger(__name__)

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Started:
    """The result of a start: the container, and the volumes that the start made for it."""

    container: Container
    fresh: bool
    volumes: tuple[str, ...] = ()


class Engine:
    """The few calls that the runtime needs; all but `watch` block and raise EngineError."""

    def __init__(self, api: docker.APIClient, address: str, deployment: Deployment) -> None:
        self._api = api
        self._address = address
        self._deployment = deployment
        self._network = Network(api, deployment)
        self._volumes = Volumes(api, deployment)

    @classmethod
    def connect(
        cls, deployment: Deployment, address: str | None, timeout_seconds: int, connections: int
    ) -> Self:
        """Opens a client; `address` None means what the environment says, as for the CLI."""
        api, address = connect(address, timeout_seconds, connections)
        return cls(api, address, deployment)

    def close(self) -> None:
        """Gives the connections back."""
        self._api.close()

    def check(self, image: str) -> None:
        """Raises EngineError, with the next step, unless containers of `image` could start."""
        with engine_errors(self._address):
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
            with missing_image_errors(image):
                self._api.inspect_image(image)  # type: ignore[no-untyped-call]  # an open stub

    def survey(self, image: str) -> Survey:
        """Returns what the engine says about itself and this image."""
        with engine_errors(self._address):
            return survey_engine(self._api, image)

    def why_not_sealed(self) -> str:
        """Returns why containers here need a network, empty when they do not."""
        with engine_errors(self._address):
            return why_not_sealed(self._api.info(), self._address)

    def network_gateway(self) -> str:
        """Returns the host's IPv4 address on our network, which is made when missing."""
        with engine_errors(self._address):
            return self._network.gateway()

    def forget_network(self) -> None:
        """Removes our network; one that is gone, or that a container needs, is left alone."""
        with engine_errors(self._address):
            self._network.forget()

    def containers(self, agent_id: str | None = None) -> list[Container]:
        """Returns our containers in any state; with `agent_id` that agent's only."""
        with engine_errors(self._address):
            containers = []
            for item in self._listed(agent_id):
                if is_running(item):
                    containers.append(running_container(item))
                else:
                    # It may be removed meanwhile.
                    with contextlib.suppress(NotFound):
                        facts = self._api.inspect_container(item["Id"])
                        containers.append(inspected_container(facts))
            return containers

    def find(self, agent_id: str) -> Container | None:
        """Returns the agent's container: the one that runs, or the newest."""
        return max(self.containers(agent_id), key=lambda container: container.running, default=None)

    def watch(self, since: int) -> EngineEvents:
        """Returns a watch of our containers' ends and memory kills from `since` (epoch seconds)."""
        filters = {
            "type": "container",
            "event": ["die", "destroy", "oom"],
            "label": self._deployment.label_filter(),
        }

        def events() -> EventStream:
            with engine_errors(self._address):
                return self._api.events(since=since, filters=filters, decode=True)

        return EngineEvents(events, self._address)

    def _listed(self, agent_id: str | None) -> list[Json]:
        filters = {"label": self._deployment.label_filter(agent_id)}
        return list(self._api.containers(all=True, filters=filters))

    def start(self, spec: ContainerSpec) -> Started:
        """Starts the agent's container unless the same one runs; undoes its part on failure."""
        config = self._deployment.container_config(spec)
        if spec.folders is None:
            self.network_gateway()
        with engine_errors(self._address), missing_image_errors(spec.image):
            for item in self._listed(spec.agent_id):
                same = item["Labels"].get(LABEL_CONFIG_HASH) == config["Labels"][LABEL_CONFIG_HASH]
                if same and item["State"] == "running":
                    return Started(running_container(item), fresh=False)
                self._remove_container(item["Id"])
            made = self._volumes.make(spec.agent_id, spec.disk_bytes)
            container_id: str | None = None
            try:
                container_id = self._create(spec.agent_id, config)
                self._start(container_id)
                container = self._verified(container_id, config["HostConfig"])
                return Started(container, fresh=True, volumes=tuple(made))
            except BaseException:
                self._undo(container_id, made)
                raise

    def undo(self, started: Started) -> None:
        """Removes what a start has made that nobody waits for any more, and nothing older."""
        with engine_errors(self._address):
            self._undo(started.container.id if started.fresh else None, started.volumes)

    def stop(self, agent_id: str) -> None:
        """Stops the agent's container and keeps it; one that is stopped or gone is a success."""
        with engine_errors(self._address):
            for item in self._listed(agent_id):
                with contextlib.suppress(NotFound):
                    self._api.stop(item["Id"], timeout=GRACE_SECONDS)

    def resume(self, agent_id: str) -> Container:
        """Starts the agent's stopped container again; one that runs is returned."""
        with engine_errors(self._address):
            container = self.find(agent_id)
            with resume_errors():
                if container is None:
                    raise NotFound(f"agent {agent_id} has no container")
                facts = self._api.inspect_container(container.id)
                if facts["State"]["Paused"]:
                    self._api.unpause(container.id)
                else:
                    self._start(container.id)
                return self._verified(container.id, facts["HostConfig"])

    def has_files(self, agent_id: str) -> bool:
        """Checks that every volume of the agent exists."""
        with engine_errors(self._address):
            return self._volumes.complete(agent_id)

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
                if not any(sign in text for sign in _PORT_TROUBLE):
                    raise
                _log.warning("attempt %d: the engine picked a port in use", attempt + 1)
        raise EngineError("No port was free for the container. Try again.", "ports are taken")

    def _verified(self, container_id: str, promised: Json) -> Container:
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
        if broken := broken_promises(promised, facts["HostConfig"]):
            raise EngineError(
                "The engine did not apply the sandbox's limits, so nothing was started. Ask an "
                "admin to read the log.",
                "; ".join(broken),
            )
        container = inspected_container(facts)
        if container.endpoint is None:
            ports = facts["NetworkSettings"]["Ports"]
            raise EngineError("The container got no port. Try again.", f"ports: {ports!r}")
        return container

    def _tail(self, container_id: str) -> str:
        try:
            output = self._api.logs(container_id, tail=40)
        except NotFound:
            return ""
        return output[-_LOG_TAIL_BYTES:].decode(errors="replace")

    def _undo(self, container_id: str | None, volumes: Iterable[str]) -> None:
        """Removes what a failed start has made; an error here must not hide the first one."""
        try:
            if container_id is not None:
                self._remove_container(container_id)
            for name in volumes:
                self._volumes.remove(name)
        except (DockerException, requests.RequestException, EngineError) as error:
            _log.warning("a failed start left something behind: %s", error)

    def files(self) -> dict[str, float]:
        """Returns the agents with volumes, and when the newest volume was made, since the epoch."""
        with engine_errors(self._address):
            return self._volumes.newest()

    def disk_usage(self) -> dict[str, int]:
        """Returns how many bytes the files of each agent take."""
        with engine_errors(self._address):
            return self._volumes.measured()

    def remove(self, agent_id: str, *, keep_files: bool) -> None:
        """Removes the agent's containers, and its volumes too; gone or going is a success."""
        with engine_errors(self._address):
            for item in self._listed(agent_id):
                self._remove_container(item["Id"])
            if not keep_files:
                self._volumes.remove_all(agent_id)

    def _remove_container(self, container_id: str) -> None:
        with contextlib.suppress(NotFound):
            try:
                self._api.remove_container(container_id, v=True, force=True)
            except APIError as error:
                if error.status_code != requests.codes.conflict:
                    raise
                # Somebody is removing it right now, so wait for that.
                self._api.wait(container_id, timeout=_REMOVAL_SECONDS, condition="removed")
