"""How the sums of the ledger look: a few lines of mrkdwn, or a table with a line for each call."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from bot.domain.budget import NANO, dollars
from bot.domain.quoting import code
from bot.domain.usage import LedgerLine, Sum
from bot.domain.usage_command import ShowUsage, UsageOf

SHOWN_NAMES = 5
# A spreadsheet would take a cell that begins with one of these for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_PER_CENT = 100


def heading(wish: ShowUsage, user: str, channel: str) -> str:
    """Whose usage of how many days, as mrkdwn."""
    whose = {
        UsageOf.ME: f"<@{user}>'s agents",
        UsageOf.CHANNEL: f"agents of <#{channel}>",
        UsageOf.ALL: "all agents",
    }
    days = "today" if wish.days == 1 else f"the last {wish.days} days"
    return f"*Usage of {whose[wish.of]}* · {days} (UTC)"


def usage_text(sums: Sequence[Sum], wish: ShowUsage, head: str, today: str, cap_nano: int) -> str:
    """What the calls come to, by model, and by person where there may be several.

    `today` is a day as in the sums; `cap_nano` the most that may be spent in a day, 0 for no cap.
    """
    if not sums:
        return f"{head}\nNo model calls."
    lines = [head, _in_all(sums)]
    spent = sum(one.nano for one in sums if one.day == today)
    lines.append(f"Today {dollars(spent)}" + (f" of {dollars(cap_nano)}" if cap_nano else ""))
    lines += _ranking("By model", sums, lambda one: code(one.model, 60))
    if wish.of is not UsageOf.ME:
        lines += _ranking("By person", sums, lambda one: f"<@{one.user}>")
    if wish.of is UsageOf.ALL:
        lines += _ranking("By channel", sums, lambda one: f"<#{one.channel}>")
    if guessed := sum(one.estimated_nano for one in sums):
        lines.append(f"{dollars(guessed)} of it is estimated: calls that were cut or still run.")
    command = f"/agent usage {wish.of.value} {wish.days}"
    lines.append(f"`{command} chart` draws it, `{command} csv` lists every call.")
    return "\n".join(lines)


def _in_all(sums: Iterable[Sum]) -> str:
    found = list(sums)
    calls = sum(one.calls for one in found)
    prompt = sum(one.prompt_tokens for one in found)
    cached = sum(one.cached_tokens for one in found)
    answer = sum(one.completion_tokens for one in found)
    share = f" ({cached * _PER_CENT // prompt} % from the cache)" if cached and prompt else ""
    noun = "call" if calls == 1 else "calls"
    return (
        f"{dollars(sum(one.nano for one in found))} · {calls:,} {noun} · "
        f"{prompt:,} tokens of prompts{share} · {answer:,} of answers"
    )


def _ranking(title: str, sums: Iterable[Sum], name: Callable[[Sum], str]) -> list[str]:
    ranked = ranking(sums, name)
    shown = [f"{label} {dollars(nano)}" for label, nano in ranked[:SHOWN_NAMES]]
    rest = ranked[SHOWN_NAMES:]
    if rest:
        shown.append(f"{len(rest)} more {dollars(sum(nano for _, nano in rest))}")
    return [f"{title}: {' · '.join(shown)}"]


def ranking(sums: Iterable[Sum], name: Callable[[Sum], str]) -> list[tuple[str, int]]:
    """The names with what theirs comes to in nano-dollars, the dearest first."""
    totals: defaultdict[str, int] = defaultdict(int)
    for one in sums:
        totals[name(one)] += one.nano
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))


def usage_csv(lines: Iterable[LedgerLine]) -> bytes:
    """A table with a heading line, as spreadsheets read it: UTF-8, commas, dollars as numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        ("time", "agent", "task", "user", "channel", "model", "provider", "prompt_tokens",
         "cached_tokens", "completion_tokens", "cost_usd", "cost_source", "key_of")
    )  # fmt: skip
    for one in lines:
        row = (
            datetime.fromtimestamp(one.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            one.agent_id, one.task_id, one.user, one.channel, one.model, one.provider,
            one.prompt_tokens, one.cached_tokens, one.completion_tokens,
            f"{one.nano / NANO:.9f}", one.source.value, one.paid_by.value,
        )  # fmt: skip
        writer.writerow([_cell(value) for value in row])
    return out.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
