"""Draws what a day cost, by model: a stacked bar for each day, as a PNG."""

import io
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from bot.domain.budget import NANO
from bot.domain.quoting import cut
from bot.domain.usage import Sum
from bot.slack.views.usage import ranking

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 960, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 92, 44
_BACK, _INK, _FAINT = "#ffffff", "#1d1c1d", "#d7d7da"
# Told apart by lightness as well, for people who do not see every colour.
_COLOURS = ("#1f4e79", "#e08a1e", "#3f9c6b", "#a33b5c", "#8ec1e8", "#b9b9be")
_NAMED = 5
_OTHERS = "others"
_GRID = 4
_MOST_LABELS = 8


def usage_chart(sums: Sequence[Sum], title: str, last: date, days: int) -> bytes:
    """Returns a PNG of the `days` that end with `last`; `title` is plain text."""
    # Loaded when it is needed: most runs of the bot never draw.
    from PIL import Image, ImageDraw, ImageFont

    shown = [(last - timedelta(days=back)).isoformat() for back in reversed(range(days))]
    names = [name for name, _ in ranking(sums, lambda row: row.model)]
    named = names if len(names) <= _NAMED + 1 else [*names[:_NAMED], _OTHERS]
    parts = _by_day(sums, set(named))
    image = Image.new("RGB", (WIDTH, HEIGHT), _BACK)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(15)
    draw.font = font
    draw.text((_LEFT, 14), cut(title, 90), _INK, font=ImageFont.load_default(20))
    _legend(draw, named)
    top = _round_up(max((sum(parts[day].values()) for day in shown), default=0))
    _grid(draw, top)
    _bars(draw, shown, named, parts, top)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _by_day(sums: Sequence[Sum], named: set[str]) -> defaultdict[str, defaultdict[str, int]]:
    parts: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in sums:
        parts[row.day][row.model if row.model in named else _OTHERS] += row.nano
    return parts


def _round_up(nano: int) -> int:
    """Returns the next of 1, 2, 4, 8 times a power of ten, so that the grid has round numbers."""
    size = 1_000_000  # a tenth of a cent
    while size * 10 < nano:
        size *= 10
    return next((size * times for times in (1, 2, 4, 8) if size * times >= nano), size * 10)


def _legend(draw: "ImageDraw", named: Sequence[str]) -> None:
    x, y = _LEFT, 52
    for name, colour in zip(named, _COLOURS, strict=False):
        label = cut(name.rpartition("/")[2], 24)
        width = int(draw.textlength(label)) + 34
        if x + width > WIDTH - _RIGHT:
            x, y = _LEFT, y + 20
        draw.rectangle((x, y + 2, x + 12, y + 14), fill=colour)
        draw.text((x + 18, y), label, _INK)
        x += width


def _grid(draw: "ImageDraw", top: int) -> None:
    for line in range(_GRID + 1):
        y = _height(top * line // _GRID, top)
        draw.line((_LEFT, y, WIDTH - _RIGHT, y), fill=_FAINT)
        usd = top * line / _GRID / NANO
        label = f"${usd:,.2f}" if top >= NANO // 10 else f"${usd:.4f}"
        draw.text((_LEFT - 8, y), label, _INK, anchor="rm")


def _bars(
    draw: "ImageDraw",
    shown: Sequence[str],
    named: Sequence[str],
    parts: defaultdict[str, defaultdict[str, int]],
    top: int,
) -> None:
    slot = (WIDTH - _LEFT - _RIGHT) / len(shown)
    every = -(-len(shown) // _MOST_LABELS)
    for index, day in enumerate(shown):
        left = _LEFT + slot * index
        heights = [0]
        for name in named:
            heights.append(heights[-1] + parts[day][name])
        for (below, above), colour in zip(pairwise(heights), _COLOURS, strict=False):
            if above > below:
                box = (left + slot * 0.12, _height(above, top), left + slot * 0.88)
                draw.rectangle((*box, _height(below, top)), fill=colour)
        if index % every == 0:
            draw.text((left + slot / 2, HEIGHT - _BOTTOM + 10), day[5:], _INK, anchor="ma")


def _height(nano: int, top: int) -> float:
    room = HEIGHT - _TOP - _BOTTOM
    return _TOP + room - room * nano / top
