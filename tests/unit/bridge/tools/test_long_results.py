import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.errors import ToolError
from bridge.tools.long_results import KeptResults, read_result_tool


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


@pytest.fixture
def results(path: Path) -> Iterator[KeptResults]:
    results = KeptResults(path)
    yield results
    results.close()


async def read(results: KeptResults, **arguments: Any) -> str:
    tool = read_result_tool(results)
    context = cast("Any", None)  # the tool needs nothing of the workspace
    return (await tool.run(context, tool.parse(json.dumps(arguments)))).text


def test_a_short_result_is_told_whole(results: KeptResults, path: Path) -> None:
    assert results.shortened("c", "short", 100) == "short"
    assert path.stat().st_size == 0


async def test_every_part_of_a_long_result_can_be_read_again(
    results: KeptResults, path: Path
) -> None:
    text = "".join(f"line {number}\n" for number in range(2_000))
    told = results.shortened("call_1", text, 2_000)
    assert len(told) <= 2_000
    assert told.startswith("line 0\n")
    assert "line 1999" in told
    assert '"call_1"' in told
    results.close()
    again = KeptResults(path)
    parts = [
        (await read(again, call_id="call_1", offset=offset, limit=8_000)).split("\n", 1)[1]
        for offset in range(0, len(text), 8_000)
    ]
    again.close()
    assert "".join(parts) == text


@pytest.mark.parametrize("arguments", [{"call_id": "other"}, {"call_id": "c", "offset": 10**9}])
async def test_what_is_not_there_is_said(results: KeptResults, arguments: dict[str, Any]) -> None:
    results.shortened("c", "x" * 500, 100)
    with pytest.raises(ToolError):
        await read(results, **arguments)


def test_a_full_disk_costs_the_middle_and_not_the_result(results: KeptResults) -> None:
    kept = results._journal._fd
    with Path("/dev/full").open("r+b", buffering=0) as full:
        results._journal._fd = full.fileno()
        told = results.shortened("c", "begin" + "x" * 5_000 + "end", 500)
        results._journal._fd = kept
    assert told.startswith("begin")
    assert "was not kept" in told
