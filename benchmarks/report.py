"""Samples, the rows that set them against a floor, and both as text or JSON."""

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """The values of one measurement, at least one, in `unit`."""

    unit: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("a sample needs a value")

    @classmethod
    def milliseconds(cls, seconds: Iterable[float]) -> "Sample":
        """A sample from durations in seconds."""
        return cls("ms", tuple(value * 1_000 for value in seconds))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> tuple[float, float]:
        """The 10th and the 90th percentile by nearest rank: the extremes of a small sample."""
        ordered = sorted(self.values)
        last = len(ordered) - 1
        return ordered[math.floor(0.1 * last)], ordered[math.ceil(0.9 * last)]

    def as_json(self) -> dict[str, object]:
        low, high = self.spread
        return {
            "unit": self.unit,
            "n": len(self.values),
            "median": round(self.median, 3),
            "p10": round(low, 3),
            "p90": round(high, 3),
        }


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report. Without a floor it explains a line that has one."""

    name: str
    ours: Sample
    floor: Sample | None = None
    floor_name: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours as a multiple of the floor; None without a floor, or with one of zero."""
        if self.floor is None or self.floor.median == 0:
            return None
        return self.ours.median / self.floor.median

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "ours": self.ours.as_json(),
            "floor": self.floor.as_json() if self.floor else None,
            "floor_name": self.floor_name or None,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
        }


_SHOWN = "median (p10 to p90)"
_HEADER = ("", f"ours: {_SHOWN}", "n", f"floor: {_SHOWN}", "n", "ratio", "floor is")

Facts = Mapping[str, str]
Results = Mapping[str, Sequence[Row]]


def as_text(facts: Facts, results: Results) -> str:
    """The facts about the machine, then one table with a section for each benchmark."""
    lines = [f"{name}: {value}" for name, value in facts.items()]
    cells = [_HEADER]
    for benchmark, rows in results.items():
        cells.append((f"[{benchmark}]", "", "", "", "", "", ""))
        cells.extend(_cells(row) for row in rows)
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEADER))]
    lines.append("")
    for row in cells:
        aligned = (
            cell.ljust(width) if column in (0, 6) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)


def as_json(facts: Facts, results: Results) -> str:
    """The same as one JSON object."""
    body = {
        "facts": dict(facts),
        "results": {name: [row.as_json() for row in rows] for name, rows in results.items()},
    }
    return json.dumps(body, indent=2, ensure_ascii=False)


def _cells(row: Row) -> tuple[str, str, str, str, str, str, str]:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x"
    ours = (_shown(row.ours), str(len(row.ours.values)))
    floor = (_shown(row.floor), str(len(row.floor.values))) if row.floor else ("", "")
    return (f"  {row.name}", *ours, *floor, ratio, row.floor_name)


def _shown(sample: Sample) -> str:
    if len(sample.values) == 1:
        return f"{_number(sample.median)} {sample.unit}"
    low, high = map(_number, sample.spread)
    return f"{_number(sample.median)} {sample.unit} ({low} to {high})"


def _number(value: float) -> str:
    return (
        f"{value:.2f}"
        if abs(value) < 10
        else f"{value:.1f}"
        if abs(value) < 100
        else f"{value:.0f}"
    )
