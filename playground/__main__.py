"""`python -m playground`: run the three servers until SIGINT or SIGTERM."""

import argparse
import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

from playground.model.server import ModelSettings
from playground.page.snapshot import PageSettings
from playground.server import Playground, PlaygroundSettings, running

DEMO_CHUNK_DELAY_SECONDS = 0.05  # so that a person can watch
SPARE_PORTS = 50


def main() -> None:
    try:
        asyncio.run(_serve(_arguments()))
    except OSError as error:
        sys.stderr.write(f"The playground cannot listen: {error}\n")
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m playground",
        description="A local Slack workspace with a page, a scripted model and a git host.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--slack-port", type=int, default=8400, help="the page's, too")
    parser.add_argument("--model-port", type=int, default=8401)
    parser.add_argument("--git-port", type=int, default=8402)
    parser.add_argument("--data", type=Path, help="keep the git repositories here")
    parser.add_argument("--model", default="", help="the real model's name, for the page")
    parser.add_argument("--git", default="", help="the real git host's address, for the page")
    parser.add_argument("--announce", action="store_true", help="one line of JSON, for programs")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    parser.add_argument("--chunk-delay", type=float, default=DEMO_CHUNK_DELAY_SECONDS)
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    settings = PlaygroundSettings(
        host=arguments.host,
        slack_port=arguments.slack_port,
        model_port=arguments.model_port,
        git_port=arguments.git_port,
        spare_ports=SPARE_PORTS,
        data=arguments.data,
        model=ModelSettings(chunk_delay_seconds=arguments.chunk_delay),
        page=PageSettings(model=arguments.model, git_url=arguments.git),
    )
    began = time.monotonic()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as playground, asyncio.TaskGroup() as group:
        text = json.dumps(playground.environment()) if arguments.announce else _welcome(playground)
        _say(sys.stdout, text)
        greeting = group.create_task(_greet(playground, arguments, began))
        if arguments.with_parent:
            await _watch_parent(stop)
        await stop.wait()
        greeting.cancel()


async def _greet(playground: Playground, arguments: argparse.Namespace, began: float) -> None:
    """Say where the page is, once the bot is there: the last line of `make run`."""
    wanted = arguments.slack_port
    if wanted and not playground.page_url.endswith(f":{wanted}/"):
        _say(sys.stderr, f"    port {wanted} is taken, so the page has another one")
    await playground.feed.until(lambda: playground.slack.socket_mode.connections, float("inf"))
    who = arguments.model or "a scripted model, which says so"
    _say(sys.stderr, f"    playground and bot: {time.monotonic() - began:.1f} s")
    _say(
        sys.stderr,
        f"\nThe bot is connected; answers come from {who}.\n\n"
        f"    Open  {playground.page_url}\n\nCtrl-C ends both.",
    )


class _UntilClosed(asyncio.Protocol):
    """Sets an event when the other end of a pipe is closed."""

    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._stop.set()


async def _watch_parent(stop: asyncio.Event) -> None:
    """Stop when standard input ends, which it does when the process that holds it does."""
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: _UntilClosed(stop), sys.stdin)


def _say(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()


def _welcome(playground: Playground) -> str:
    return (
        "The playground is up. Nothing here leaves this machine.\n"
        f"  page             {playground.page_url}\n"
        f"  Slack workspace  {playground.slack_url}\n"
        f"  scripted model   {playground.model_url}\n"
        f"  git host         {playground.git_url}   (demo/todo, demo/private)\n"
        'Or:  python -m playground.chat "/agent demo/todo fix the failing test"'
    )


if __name__ == "__main__":
    main()
