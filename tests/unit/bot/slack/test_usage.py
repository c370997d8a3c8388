"""How usage is shown: words, a table, a picture."""

import csv
import io
from datetime import date
from typing import Any

import pytest
from PIL import Image

from bot.domain.agent import SecretScope
from bot.domain.budget import NANO
from bot.domain.usage import CostSource, LedgerLine, Sum
from bot.domain.usage_command import ShowUsage, UsageOf
from bot.slack.views.chart import HEIGHT, WIDTH, usage_chart
from bot.slack.views.usage import heading, usage_csv, usage_text

TODAY = date(2026, 3, 2)


def one(day: str, nano: int, **changes: Any) -> Sum:
    values = {"user": "UANA", "channel": "C1", "model": "acme/one"} | changes
    numbers: Any = {
        "calls": 2,
        "prompt_tokens": 1_000,
        "cached_tokens": 250,
        "completion_tokens": 10,
    }
    return Sum(day=day, nano=nano, **({"estimated_nano": 0} | numbers | values))


def text(sums: list[Sum], of: UsageOf = UsageOf.ME, cap: int = 0) -> str:
    wish = ShowUsage(of)
    return usage_text(sums, wish, heading(wish, "UANA", "C1"), TODAY.isoformat(), cap)


def test_the_sums_of_a_person() -> None:
    sums = [one("2026-03-01", NANO), one("2026-03-02", NANO // 2, model="acme/two")]
    assert text(sums, cap=5 * NANO).splitlines() == [
        "*Usage of <@UANA>'s agents* · the last 30 days (UTC)",
        "$1.50 · 4 calls · 2,000 tokens of prompts (25 % from the cache) · 20 of answers",
        "Today $0.50 of $5.00",
        "By model: `acme/one` $1.00 · `acme/two` $0.50",
        "`/agent usage me 30 chart` draws it, `/agent usage me 30 csv` lists every call.",
    ]


def test_people_and_channels_are_named_where_there_may_be_several() -> None:
    sums = [one("2026-03-02", n * NANO, user=f"U{n}", estimated_nano=NANO) for n in range(1, 8)]
    said = text(sums, UsageOf.ALL)
    assert "By person: <@U7> $7.00 · <@U6> $6.00" in said
    assert "2 more $3.00" in said
    assert "By channel: <#C1> $28.00" in said
    assert "$7.00 of it is estimated" in said
    assert "By channel" not in text(sums, UsageOf.CHANNEL)


def test_nothing_is_said_as_nothing() -> None:
    assert text([]).endswith("No model calls.")


def test_a_name_from_a_container_pings_nobody() -> None:
    assert "<!channel>" not in text([one("2026-03-02", NANO, model="<!channel> `x` *y*")])


def test_the_table_can_be_read_back_and_is_no_program() -> None:
    line = LedgerLine(
        0.0, "k3f9ab", "k3f9ab-1", "UANA", "C1", '=HYPERLINK("x"),\n\ud800', "Acme", 200, None, 10,
        1_234_567, CostSource.PROVIDER, SecretScope.USER,
    )  # fmt: skip
    head, row = csv.reader(io.StringIO(usage_csv([line]).decode(), newline=""))
    found = dict(zip(head, row, strict=True))
    assert found["time"] == "1970-01-01T00:00:00Z"
    assert found["model"] == '\'=HYPERLINK("x"),\n?'
    assert (found["prompt_tokens"], found["cached_tokens"]) == ("200", "")
    assert (found["cost_usd"], found["cost_source"], found["key_of"]) == (
        "0.001234567", "provider", "user",
    )  # fmt: skip


def drawn(sums: list[Sum], days: int = 7) -> Image.Image:
    image = Image.open(io.BytesIO(usage_chart(sums, "Model calls", TODAY, days)))
    assert (image.format, image.size) == ("PNG", (WIDTH, HEIGHT))
    return image.convert("RGB")


def height_of_ink(image: Image.Image, colour: tuple[int, int, int], left: int, right: int) -> int:
    rows = [
        y
        for y in range(90, HEIGHT - 40)
        if any(image.getpixel((x, y)) == colour for x in range(left, right, 4))
    ]
    return len(rows)


def test_a_bar_is_as_high_as_its_day_was_dear() -> None:
    image = drawn([one("2026-03-01", 2 * NANO), one("2026-03-02", 4 * NANO)])
    blue, slot = (0x1F, 0x4E, 0x79), (WIDTH - 108) // 7
    yesterday = height_of_ink(image, blue, 84 + 5 * slot, 84 + 6 * slot)
    today = height_of_ink(image, blue, 84 + 6 * slot, WIDTH - 24)
    assert today > 250
    assert abs(today - 2 * yesterday) <= 2
    assert height_of_ink(image, blue, 84, 84 + 5 * slot) == 0


@pytest.mark.parametrize("days", [1, 2, 30, 366])
def test_any_number_of_days_and_models_can_be_drawn(days: int) -> None:
    drawn([one("2026-03-02", n, model=f"acme/{n}-\u202e\ud800" * 20) for n in range(12)], days)
    drawn([one("2026-03-02", 0)], days)
