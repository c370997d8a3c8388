"""Lists and removes everything of one deployment on its engine; blocking, for the command line."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import requests
from docker.errors import APIError, NotFound

from bot.errors import EngineError
from bot.runtime.errors import connect, engine_errors
from bot.runtime.spec import LABEL_AGENT, Deployment

_TIMEOUT_SECONDS = 30
_IN_USE = requests.codes.conflict


class ResourceKind(StrEnum):
    """The kinds of resources, in the order in which they can be removed."""

    CONTAINER = "container"
    VOLUME = "volume"
    NETWORK = "network"


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of this deployment; `agent_id` is empty for one that belongs to no agent."""

    kind: ResourceKind
    id: str
    name: str
    agent_id: str
    state: str = ""


class Inventory:
    """Finds this deployment's resources by their labels. Raises EngineError."""

    def __init__(self, instance: str, address: str | None = None) -> None:
        self._deployment = Deployment(instance)
        self._api, self._address = connect(address, _TIMEOUT_SECONDS, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def resources(self, agent_id: str | None = None) -> Sequence[Resource]:
        """Returns every resource, or those of one agent."""
        filters = {"label": self._deployment.label_filter(agent_id)}
        with engine_errors(self._address):
            resources = [
                Resource(
                    ResourceKind.CONTAINER,
                    item["Id"],
                    item["Names"][0].lstrip("/") if item.get("Names") else item["Id"][:12],
                    item["Labels"].get(LABEL_AGENT, ""),
                    str(item.get("Status") or item["State"]),
                )
                for item in self._api.containers(all=True, filters=filters)
            ]
            for item in self._api.volumes(filters=filters)["Volumes"] or ():
                owner = (item["Labels"] or {}).get(LABEL_AGENT, "")
                resources.append(Resource(ResourceKind.VOLUME, item["Name"], item["Name"], owner))
            for item in self._api.networks(filters=filters):
                resources.append(Resource(ResourceKind.NETWORK, item["Id"], item["Name"], ""))  # noqa: PERF401
        return resources

    def remove(self, resource: Resource) -> None:
        """Removes a resource; one that is gone is a success."""
        with engine_errors(self._address), contextlib.suppress(NotFound):
            match resource.kind:
                case ResourceKind.CONTAINER:
                    self._api.remove_container(resource.id, v=True, force=True)
                case ResourceKind.VOLUME:
                    self._api.remove_volume(resource.id)
                case ResourceKind.NETWORK:
                    self._api.remove_network(resource.id)

    def remove_image(self, name: str) -> bool:
        """Removes an image by its name; False when it is in use, or missing."""
        with engine_errors(self._address):
            try:
                self._api.remove_image(name)
            except NotFound:
                return False
            except APIError as error:
                if error.status_code != _IN_USE:
                    raise
                return False
        return True

    def logs(self, agent_id: str, lines: int, *, follow: bool) -> Iterator[bytes]:
        """Yields the last output of the agent's container, and what follows; raises EngineError."""
        containers = [
            resource
            for resource in self.resources(agent_id)
            if resource.kind is ResourceKind.CONTAINER
        ]
        if not containers:
            raise EngineError(f"Agent {agent_id} has no container now. `threadsmith ps` shows all.")
        with engine_errors(self._address):
            if not follow:
                yield self._api.logs(containers[0].id, tail=lines)
                return
            stream = self._api.logs(containers[0].id, tail=lines, stream=True, follow=True)
            yield from stream
