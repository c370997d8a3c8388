"""Starts and stops the bridge's process in order: settings, logs, listener, tasks."""

import asyncio
import logging
import os
import signal
import socket
import sys

from pydantic import ValidationError

from bridge.agent.session import Session
from bridge.config import BridgeSettings
from bridge.errors import BridgeError
from bridge.http.connections import ConnectionGuard
from bridge.http.server import create_app
from bridge.http.sockets import listening_socket
from bridge.model.client import OpenAIChatModel
from bridge.process.logs import set_up_logs
from bridge.process.prctl import hide_from_siblings
from bridge.protocol import PROTOCOL_VERSION
from bridge.runner.client import RunnerClient, run_in_runner
from bridge.tools import default_tools

_log = logging.getLogger("bridge")
_STOP_SECONDS = 2.0


def main() -> int:
    """Runs the bridge until SIGTERM; returns the exit status of the process."""
    if "--version" in sys.argv[1:]:
        sys.stdout.write(f"threadsmith bridge, protocol {PROTOCOL_VERSION}\n")
        return 0
    hide_from_siblings()
    try:
        settings = BridgeSettings.from_environment()
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in item["loc"]).upper()
            sys.stderr.write(f"threadsmith bridge: {name}: {item['msg']}\n")
        return 2
    secrets = (settings.bridge_token, settings.openrouter_api_key, settings.git_token)
    set_up_logs(secret.get_secret_value() for secret in secrets if secret is not None)
    try:
        asyncio.run(_serve(settings))
    except (BridgeError, OSError) as error:
        _log.error("the bridge cannot run: %s", error)
        return 1
    return 0


async def _serve(settings: BridgeSettings) -> None:
    model = OpenAIChatModel(
        settings.openrouter_base_url,
        settings.openrouter_api_key,
        progress_timeout_seconds=settings.model_progress_timeout_seconds,
        context_tokens=settings.model_context_tokens,
    )
    tools, runner = default_tools(), None
    if settings.launcher_fd is not None:
        runner = RunnerClient(socket.socket(fileno=settings.launcher_fd))
        tools = run_in_runner(runner, tools)
    session = Session(settings, model, tools, runner=runner)
    answered, stop = asyncio.Event(), asyncio.Event()
    connections = ConnectionGuard()
    app = create_app(
        session, settings.bridge_token, connections=connections, on_request=answered.set
    )
    _stop_on_signals(stop)
    try:
        with listening_socket(
            settings.bridge_socket, settings.socket_gid, settings.host, settings.port
        ) as (listener, name):
            async with connections.serving(app, listener):
                _log.info("listening on %s", name)
                async with asyncio.TaskGroup() as group:
                    connection = group.create_task(runner.run()) if runner else None
                    work = group.create_task(session.run())
                    warm = group.create_task(_prewarm(model, answered))
                    await stop.wait()
                    work.cancel()
                    warm.cancel()
                    if connection is not None:
                        group.create_task(_cancel_after(work, connection))
                session.events.end_readers()
    finally:
        session.close()
        await model.close()
    _log.info("stopped")


async def _cancel_after(work: asyncio.Task[None], connection: asyncio.Task[None]) -> None:
    """Closes the runner's connection last, since the running tool is ended through it."""
    await asyncio.wait((work,))
    connection.cancel()


async def _prewarm(model: OpenAIChatModel, answered: asyncio.Event) -> None:
    """Loads the model client and the list of models after the first answer, not before it."""
    await answered.wait()
    await model.prewarm()
    await model.limits("")


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def begin() -> None:
        stop.set()
        loop.call_later(_STOP_SECONDS, os._exit, 1)  # whatever still holds on then

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin)


if __name__ == "__main__":
    sys.exit(main())
