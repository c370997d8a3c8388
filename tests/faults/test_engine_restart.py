"""The engine ends and comes back under agents: each thread is told once, and goes on."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import IMAGE, ROOT, docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(240), pytest.mark.slow(135)]

INSIDE = ROOT / "tests" / "faults" / "second_engine.py"
# With the namespace of processes everything in it ends, containers too, however the test ends.
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture(scope="module")
def image(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bridge's image as a file, for an engine that has none."""
    path = tmp_path_factory.mktemp("image") / "bridge.tar"
    docker("save", "--output", str(path), IMAGE)
    yield path
    path.unlink()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_an_engine_that_restarts_costs_one_notice_and_no_work(
    image: Path, tmp_path: Path, number: signal.Signals
) -> None:
    # The names of sockets have little room.
    folder = Path("/tmp") / f"threadsmith-engine-{os.getpid()}-{number}"
    folder.mkdir(mode=0o700)
    try:
        process = await asyncio.create_subprocess_exec(
            *([] if os.geteuid() == 0 else ["sudo", "--non-interactive", "--preserve-env"]),
            *("unshare", *NAMESPACES, sys.executable, str(INSIDE)),
            *(str(folder), str(image), str(int(number))),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, output.decode()[-6_000:]
    finally:
        shutil.rmtree(folder)
