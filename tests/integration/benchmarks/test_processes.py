import os
from pathlib import Path

import pytest

from benchmarks.processes import BenchmarkError, bridge_running, floor_running


async def test_an_error_inside_comes_out_as_itself_and_the_process_is_gone() -> None:
    pids = []

    async def fail_inside() -> None:
        async with floor_running() as server:
            pids.append(server.pid)
            raise BenchmarkError("went wrong")

    with pytest.raises(BenchmarkError, match="went wrong"):
        await fail_inside()
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


async def test_a_process_that_cannot_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match="OPENROUTER_BASE_URL"):
        async with bridge_running(tmp_path, model_url=""):
            pass
