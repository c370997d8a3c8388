"""The volumes of one deployment; each is bounded where the engine can do it."""

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError, NotFound

from bot.runtime.parsing import newest_volumes, sizes_of_volumes
from bot.runtime.spec import Deployment

_MEASURE_SECONDS = 60
# What engines say whose storage knows no quota (they need xfs with project quotas).
_NO_QUOTA = ("quota", "invalid option")

_log = logging.getLogger(__name__)

Json = dict[str, Any]


class Volumes:
    """Blocking calls; raises what the SDK raises."""

    def __init__(self, api: docker.APIClient, deployment: Deployment) -> None:
        self._api = api
        self._deployment = deployment
        self._has_quota = True  # until the engine says otherwise

    def complete(self, agent_id: str) -> bool:
        """Tell whether every volume of the agent is there."""
        there = {volume["Name"] for volume in self._all(agent_id)}
        return there.issuperset(self._deployment.volume_names(agent_id))

    def newest(self) -> dict[str, float]:
        """Return whose volumes there are, and when the newest was made, since the epoch."""
        return newest_volumes(self._all())

    def make(self, agent_id: str, limit_bytes: int) -> list[str]:
        """Return the volumes that were not there before: a leftover holds somebody's work."""
        there = {volume["Name"] for volume in self._all(agent_id)}
        fresh = [n for n in self._deployment.volume_names(agent_id) if n not in there]
        for name in fresh:
            self._make(name, self._deployment.labels(agent_id), limit_bytes)
        return fresh

    def _make(self, name: str, labels: Mapping[str, str], limit_bytes: int) -> None:
        if limit_bytes and self._has_quota:
            try:
                self._api.create_volume(
                    name, driver_opts={"size": str(limit_bytes)}, labels=dict(labels)
                )
                return
            except APIError as error:
                said = str(error.explanation).lower()
                if not any(word in said for word in _NO_QUOTA):
                    raise
                self._has_quota = False
                _log.info("the engine bounds no volumes, so that they are watched: %s", said[:200])
        self._api.create_volume(name, labels=dict(labels))

    def measured(self) -> dict[str, int]:
        """Return how many bytes the volumes of each agent hold; the engine walks through them."""
        # The SDK has no way to ask for volumes alone, which spares newer engines the images.
        answer = self._api.get(
            f"{self._api.base_url}/v{self._api.api_version}/system/df",
            params={"type": "volume"},
            timeout=_MEASURE_SECONDS,
        )
        answer.raise_for_status()
        return sizes_of_volumes(answer.json()["Volumes"] or (), self._deployment.labels())

    def remove_all(self, agent_id: str) -> None:
        """Remove those of one agent; gone is a success."""
        for volume in self._all(agent_id):
            self.remove(volume["Name"])

    def remove(self, name: str) -> None:
        """Remove one; gone is a success."""
        with contextlib.suppress(NotFound):
            self._api.remove_volume(name, force=True)

    def _all(self, agent_id: str | None = None) -> list[Json]:
        filters = {"label": self._deployment.label_filter(agent_id)}
        return list(self._api.volumes(filters=filters)["Volumes"] or ())
