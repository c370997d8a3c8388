"""Manages the volumes of one deployment; each is bounded where the engine can do it."""

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import docker
from docker.errors import APIError, NotFound

from bot.runtime.parsing import newest_volumes, sizes_of_volumes
from bot.runtime.spec import Deployment

_MEASURE_SECONDS = 60
# Words in the errors of engines whose storage has no quota (they need xfs with project quotas).
_NO_QUOTA = ("quota", "invalid option")

_log = logging.getLogger(__name__)

Json = dict[str, Any]


class Volumes:
    """Manages volumes by blocking calls; raises the errors of the SDK."""

    def __init__(self, api: docker.APIClient, deployment: Deployment) -> None:
        self._api = api
        self._deployment = deployment
        self._has_quota = True  # until the engine refuses one

    def complete(self, agent_id: str) -> bool:
        """Checks that every volume of the agent exists."""
        existing = {volume["Name"] for volume in self._all(agent_id)}
        return existing.issuperset(self._deployment.volume_names(agent_id))

    def newest(self) -> dict[str, float]:
        """Returns the agents with volumes, and when the newest volume was made, since the epoch."""
        return newest_volumes(self._all())

    def make(self, agent_id: str, limit_bytes: int) -> list[str]:
        """Makes the missing volumes and returns their names; a leftover keeps somebody's work."""
        existing = {volume["Name"] for volume in self._all(agent_id)}
        fresh = [n for n in self._deployment.volume_names(agent_id) if n not in existing]
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
                text = str(error.explanation).lower()
                if not any(word in text for word in _NO_QUOTA):
                    raise
                self._has_quota = False
                _log.info("the engine bounds no volumes, so that they are watched: %s", text[:200])
        self._api.create_volume(name, labels=dict(labels))

    def measured(self) -> dict[str, int]:
        """Returns how many bytes the volumes of each agent hold; the engine walks through them."""
        # The SDK has no way to ask for volumes alone, which spares newer engines the images.
        answer = self._api.get(
            f"{self._api.base_url}/v{self._api.api_version}/system/df",
            params={"type": "volume"},
            timeout=_MEASURE_SECONDS,
        )
        answer.raise_for_status()
        return sizes_of_volumes(answer.json()["Volumes"] or (), self._deployment.labels())

    def remove_all(self, agent_id: str) -> None:
        """Removes the volumes of one agent; a missing one is a success."""
        for volume in self._all(agent_id):
            self.remove(volume["Name"])

    def remove(self, name: str) -> None:
        """Removes a volume; a missing one is a success."""
        with contextlib.suppress(NotFound):
            self._api.remove_volume(name, force=True)

    def _all(self, agent_id: str | None = None) -> list[Json]:
        filters = {"label": self._deployment.label_filter(agent_id)}
        return list(self._api.volumes(filters=filters)["Volumes"] or ())
