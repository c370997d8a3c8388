"""What the engine's SDK raises, as errors with a next step for the person who reads them."""

import contextlib
from collections.abc import Iterator

import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from bot.errors import EngineError


@contextlib.contextmanager
def speaking(address: str) -> Iterator[None]:
    """Turn what the SDK raises into EngineError; the innermost of nested uses speaks."""
    try:
        yield
    except APIError as error:
        if "bind source path does not exist" in str(error.explanation):
            raise EngineError(
                "The container engine does not see the bot's DATA_DIR. Ask an admin to put it on "
                "the engine's own machine at the same path, or to set SANDBOX_NETWORK=open.",
                str(error.explanation),
            ) from error
        raise EngineError(
            "The container engine refused. Ask an admin to read the log.",
            f"{error.status_code}: {error.explanation}",
        ) from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise EngineError(
            f"The Docker engine at `{address}` does not answer. Ask an admin to start it "
            "(`systemctl start docker`) and to let the bot use that socket.",
            f"{address}: {error}",
        ) from error


@contextlib.contextmanager
def image_needed(image: str) -> Iterator[None]:
    """Say which image is missing, and how it is made."""
    try:
        yield
    except NotFound as error:
        missing = "no such image" in str(error.explanation).lower()
        if not (missing or isinstance(error, ImageNotFound)):
            raise
        raise EngineError(
            f"The image `{image}` is not on this machine. Ask an admin to run `make image`.",
            str(error),
        ) from error


@contextlib.contextmanager
def conflict_allowed() -> Iterator[None]:
    """Go on when somebody else has made the same thing first."""
    try:
        yield
    except APIError as error:
        if error.status_code != requests.codes.conflict:
            raise


@contextlib.contextmanager
def startable() -> Iterator[None]:
    """Say that a stopped container cannot be started again, whatever it misses."""
    try:
        yield
    except APIError as error:
        going = error.status_code == requests.codes.conflict
        if not (going or isinstance(error, NotFound)):
            raise
        raise EngineError(
            "The agent's container, or its network, is gone: it cannot be woken as it was.",
            str(error),
        ) from error
