"""Finds the bridge network of one deployment by its label, and makes it on demand."""

import contextlib
import threading
from typing import Any

import docker
from docker.errors import NotFound

from bot.errors import EngineError
from bot.runtime.errors import conflicts_ignored
from bot.runtime.spec import Deployment

Json = dict[str, Any]


class Network:
    """Manages the network by blocking calls; raises EngineError and the errors of the SDK."""

    def __init__(self, api: docker.APIClient, deployment: Deployment) -> None:
        self._api = api
        self._deployment = deployment
        self._lock = threading.Lock()

    def gateway(self) -> str:
        """Returns the host's IPv4 address on the network, which is made when missing."""
        name = self._deployment.network_name
        with self._lock:
            network = self._find() or self._make()
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

    def forget(self) -> None:
        """Removes the network unless a container needs it; one that is gone is a success.

        A stopped container needs it too: it is bound to this very network, not to its name.
        """
        with self._lock:
            network = self._find()
            if network is None or network["Containers"]:
                return
            filters = {"label": self._deployment.label_filter()}
            if not self._api.containers(all=True, quiet=True, filters=filters):
                with contextlib.suppress(NotFound):
                    self._api.remove_network(network["Id"])

    def _find(self) -> Json | None:
        networks = self._api.networks(filters={"label": self._deployment.label_filter()})
        ours = [item for item in networks if item["Name"] == self._deployment.network_name]
        # The engine lets two processes make the same name at once; the older one counts.
        ours.sort(key=lambda item: str(item["Created"]))
        network: Json | None = self._api.inspect_network(ours[0]["Id"]) if ours else None
        return network

    def _make(self) -> Json | None:
        made = None
        with conflicts_ignored():
            name, config = self._deployment.network_name, self._deployment.network_config()
            made = self._api.create_network(name, **config)["Id"]
        network = self._find()
        if made and network and network["Id"] != made:
            self._api.remove_network(made)
        return network
