"""The Docker runtime keeps the contract of its port."""

import pytest

from tests.contracts.sandbox import RuntimeContract
from tests.integration.runtime.conftest import engine, instance, listening_image, runtime, spec

__all__ = ["engine", "instance", "listening_image", "runtime", "spec"]


@pytest.mark.docker
class TestDockerRuntime(RuntimeContract):
    pass
