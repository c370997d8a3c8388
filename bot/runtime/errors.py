"""Connects to the container engine, and turns its errors into ones with a next step."""

import contextlib
import socket
from collections.abc import Iterator

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env

from bot.errors import EngineError

DEFAULT_SOCKET = "unix:///var/run/docker.sock"


def connect(
    address: str | None, timeout_seconds: int, connections: int
) -> tuple[docker.APIClient, str]:
    """Returns a client and the address of its engine; raises EngineError if no engine answers.

    With `address` None the environment names the engine, as for Docker's own command line.
    """
    options = {} if address else kwargs_from_env()
    address = str(options.pop("base_url", address or DEFAULT_SOCKET))
    with engine_errors(address):
        api = docker.APIClient(
            address,
            "auto",
            timeout_seconds,
            tls=options.get("tls", False),
            max_pool_size=connections,
        )
    return api, address


@contextlib.contextmanager
def engine_errors(address: str) -> Iterator[None]:
    """Turns the SDK's errors into EngineError, also when nobody listens at the address."""
    with sdk_errors(address):
        _probe(address)
        yield


def _probe(address: str) -> None:
    """Fails on a dead socket before the SDK does, because it would leave its own sockets open."""
    if address.startswith("unix://"):
        path = "/" + address.removeprefix("unix://").lstrip("/")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.connect(path)


@contextlib.contextmanager
def sdk_errors(address: str) -> Iterator[None]:
    """Turns the SDK's errors into EngineError; of nested uses the innermost one does it."""
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
def missing_image_errors(image: str) -> Iterator[None]:
    """Raises EngineError when the image is missing, with how to make it."""
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
def conflicts_ignored() -> Iterator[None]:
    """Goes on when somebody else has made the same thing first."""
    try:
        yield
    except APIError as error:
        if error.status_code != requests.codes.conflict:
            raise


@contextlib.contextmanager
def resume_errors() -> Iterator[None]:
    """Raises EngineError when a stopped container lacks what it needs to start again."""
    try:
        yield
    except APIError as error:
        conflict = error.status_code == requests.codes.conflict
        if not (conflict or isinstance(error, NotFound)):
            raise
        raise EngineError(
            "The agent's container, or its network, is gone: it cannot be woken as it was.",
            str(error),
        ) from error
