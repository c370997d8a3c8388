import json

import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.report import Row, Sample, as_json, as_text


def test_the_list_names_every_benchmark_and_runs_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [benchmark.name for benchmark in BENCHMARKS]


def test_an_unknown_name_is_refused_with_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "nothing"])
    assert "steps" in capsys.readouterr().err


def test_without_an_engine_one_sentence_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert main(["--only", "container"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("benchmarks: ")
    assert "Traceback" not in said.err


def test_the_ratio_is_of_the_medians() -> None:
    row = Row("x", Sample.milliseconds([0.002, 0.004, 0.9]), Sample.milliseconds([0.002]), "bare")
    assert row.ratio == pytest.approx(2.0)
    assert Row("x", row.ours).ratio is None
    assert Row("x", row.ours, Sample("ms", (0.0,)), "bare").ratio is None


def test_the_spread_of_a_small_sample_is_its_extremes() -> None:
    assert Sample("ms", (3.0, 1.0, 2.0)).spread == (1.0, 3.0)
    assert Sample("ms", tuple(map(float, range(101)))).spread == (10.0, 90.0)


def test_an_empty_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a value"):
        Sample("ms", ())


def test_text_and_json_hold_the_facts_and_every_row() -> None:
    rows = [
        Row("one", Sample("ms", (1.5,)), Sample("ms", (0.5,)), "bare"),
        Row("two", Sample("MiB", (7.0,))),
    ]
    text = as_text({"load": "0.1"}, {"demo": rows})
    assert "load: 0.1" in text
    assert "3.00x" in text
    assert "two" in text
    body = json.loads(as_json({"load": "0.1"}, {"demo": rows}))
    assert [row["ratio"] for row in body["results"]["demo"]] == [3.0, None]
