"""Volumes with a bound where the engine can, and without one where it says that it cannot."""

from typing import Any, cast

import docker
import pytest
import requests
from docker.errors import APIError

from bot.runtime.spec import Deployment
from bot.runtime.volumes import Volumes


class FakeApi:
    """An engine's volumes; `refusal` is what it says to one with a size."""

    def __init__(self, refusal: str = "") -> None:
        self.refusal = refusal
        self.made: list[dict[str, str] | None] = []
        self.asked = 0

    def volumes(self, filters: dict[str, Any]) -> dict[str, Any]:
        """None yet."""
        return {"Volumes": None}

    def create_volume(
        self, name: str, labels: dict[str, str], driver_opts: dict[str, str] | None = None
    ) -> None:
        """Make it, or refuse its size."""
        self.asked += 1
        if driver_opts and self.refusal:
            raise APIError("refused", requests.Response(), self.refusal)
        self.made.append(driver_opts)


def made(api: FakeApi, limit: int) -> list[dict[str, str] | None]:
    volumes = Volumes(cast("docker.APIClient", api), Deployment("one"))
    volumes.make("k3f9ab", limit)
    return api.made


def test_volumes_are_bounded_where_the_engine_has_quotas() -> None:
    assert made(FakeApi(), 5) == [{"size": "5"}] * 2
    assert made(FakeApi(), 0) == [None] * 2


@pytest.mark.parametrize(
    "refusal", ["quota size requested but no quota support", "invalid option: size"]
)
def test_an_engine_without_quotas_is_asked_once(refusal: str) -> None:
    api = FakeApi(refusal)
    assert made(api, 5) == [None] * 2
    assert api.asked == 3


def test_another_refusal_is_an_error() -> None:
    with pytest.raises(APIError):
        made(FakeApi("no space left on device"), 5)
