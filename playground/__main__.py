"""`python -m playground`: run the three servers until SIGINT or SIGTERM."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from playground.model.server import ModelSettings
from playground.server import Playground, PlaygroundSettings, running

DEMO_CHUNK_DELAY_SECONDS = 0.02


def main() -> None:
    try:
        asyncio.run(_serve(_arguments()))
    except OSError as error:
        sys.stderr.write(f"The playground cannot listen: {error}\n")
        sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m playground",
        description="A local Slack workspace, a scripted model and a git host.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--slack-port", type=int, default=8400)
    parser.add_argument("--model-port", type=int, default=8401)
    parser.add_argument("--git-port", type=int, default=8402)
    parser.add_argument("--data", type=Path, help="keep the git repositories here")
    parser.add_argument("--announce", action="store_true", help="one line of JSON, for programs")
    parser.add_argument("--chunk-delay", type=float, default=DEMO_CHUNK_DELAY_SECONDS)
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    settings = PlaygroundSettings(
        host=arguments.host,
        slack_port=arguments.slack_port,
        model_port=arguments.model_port,
        git_port=arguments.git_port,
        data=arguments.data,
        model=ModelSettings(chunk_delay_seconds=arguments.chunk_delay),
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as playground:
        text = json.dumps(playground.environment()) if arguments.announce else _welcome(playground)
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
        await stop.wait()


def _welcome(playground: Playground) -> str:
    return (
        "The playground is up. Nothing here leaves this machine.\n"
        f"  Slack workspace  {playground.slack_url}\n"
        f"  scripted model   {playground.model_url}\n"
        f"  git host         {playground.git_url}   (demo/todo, demo/private)\n"
        'Try:  python -m playground.chat "/agent demo/todo fix the failing test"'
    )


if __name__ == "__main__":
    main()
