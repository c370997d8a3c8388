"""Runs the benchmarks one after the other: `python -m benchmarks [--only NAME] [--json]`."""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks import containers, database, events, hiding, machine, memory, starting, steps
from benchmarks.processes import BenchmarkError
from benchmarks.report import Row, as_json, as_text
from bot.errors import BotError, UserError

_SECONDS_EACH = 120.0
_FAILURES = (
    BenchmarkError,
    BotError,
    OSError,
    aiohttp.ClientError,
    subprocess.SubprocessError,
)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`measure` gets a folder of its own and gives the rows."""

    name: str
    about: str
    measure: Callable[[Path], Awaitable[list[Row]]]


BENCHMARKS = (
    Benchmark("start", "a bridge process: start to first answer", starting.measure),
    Benchmark("container", "a container: start to healthy (needs the engine)", containers.measure),
    Benchmark("steps", "a tool step with a model that takes no time", steps.measure),
    Benchmark("events", "an event from the bridge to the bot's client", events.measure),
    Benchmark("memory", "an idle bridge, and its growth", memory.measure),
    Benchmark("store", "a commit of the bot's database", database.measure),
    Benchmark("hiding", "secrets taken out of a text", hiding.measure),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 1 when something that is measured is missing or fails."""
    options = _options(arguments)
    if options.list:
        for benchmark in BENCHMARKS:
            print(f"{benchmark.name:10} {benchmark.about}")
        return 0
    chosen = [b for b in BENCHMARKS if not options.only or b.name in options.only]
    try:
        report = asyncio.run(_run(chosen, in_json=options.json))
    except UserError as error:
        return _failed(f"{error.user_text} (Without an engine: --only NAME, see --list.)")
    except _FAILURES as error:
        return _failed(str(error))
    except TimeoutError:
        return _failed(f"a benchmark took longer than {_SECONDS_EACH:g} s.")
    except KeyboardInterrupt:
        return 130
    print(report)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument(
        "--only", action="append", choices=names, metavar="NAME", help=f"one of {', '.join(names)}"
    )
    parser.add_argument("--list", action="store_true", help="name the benchmarks and stop")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args(arguments)


async def _run(chosen: Sequence[Benchmark], *, in_json: bool) -> str:
    if any(benchmark.name == "container" for benchmark in chosen):
        await containers.check_engine()
    began = time.monotonic()
    results: dict[str, list[Row]] = {}
    with tempfile.TemporaryDirectory(prefix="threadsmith-bench-") as folder:
        facts = machine.facts(Path(folder))
        for benchmark in chosen:
            print(f"… {benchmark.name}: {benchmark.about}", file=sys.stderr, flush=True)
            scratch = Path(folder) / benchmark.name
            scratch.mkdir()
            async with asyncio.timeout(_SECONDS_EACH):
                results[benchmark.name] = await benchmark.measure(scratch)
    facts["load"] += f" before, {machine.load()} after {time.monotonic() - began:.0f} s"
    return as_json(facts, results) if in_json else as_text(facts, results)


def _failed(why: str) -> int:
    print(f"benchmarks: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
