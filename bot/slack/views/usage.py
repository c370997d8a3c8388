"""Writes the sums of the ledger: a few lines of mrkdwn, or a table with a line for each call."""

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


def heading(query: ShowUsage, user: str, channel: str) -> str:
    """Returns the heading: whose usage of how many days, as mrkdwn."""
    whose = {
        UsageOf.ME: f"<@{user}>'s agents",
        UsageOf.CHANNEL: f"agents of <#{channel}>",
        UsageOf.ALL: "all agents",
    }
    days = "today" if query.days == 1 else f"the last {query.days} days"
    return f"*Usage of {whose[query.of]}* · {days} (UTC)"


def usage_text(sums: Sequence[Sum], query: ShowUsage, head: str, today: str, cap_nano: int) -> str:
    """Returns the cost of calls by model, and by person where there may be several.

    `today` is a day as in the sums; `cap_nano` the most that may be spent in a day, 0 for no cap.
    """
    if not sums:
        return f"{head}\nNo model calls."
    lines = [head, _in_all(sums)]
    spent = sum(row.nano for row in sums if row.day == today)
    lines.append(f"Today {dollars(spent)}" + (f" of {dollars(cap_nano)}" if cap_nano else ""))
    lines += _ranking("By model", sums, lambda row: code(row.model, 60))
    if query.of is not UsageOf.ME:
        lines += _ranking("By person", sums, lambda row: f"<@{row.user}>")
    if query.of is UsageOf.ALL:
        lines += _ranking("By channel", sums, lambda row: f"<#{row.channel}>")
    if guessed := sum(row.estimated_nano for row in sums):
        lines.append(f"{dollars(guessed)} of it is estimated: calls that were cut or still run.")
    command = f"/agent usage {query.of.value} {query.days}"
    lines.append(f"`{command} chart` draws it, `{command} csv` lists every call.")
    return "\n".join(lines)


def _in_all(sums: Iterable[Sum]) -> str:
    listed = list(sums)
    calls = sum(row.calls for row in listed)
    prompt = sum(row.prompt_tokens for row in listed)
    cached = sum(row.cached_tokens for row in listed)
    answer = sum(row.completion_tokens for row in listed)
    share = f" ({cached * _PER_CENT // prompt} % from the cache)" if cached and prompt else ""
    noun = "call" if calls == 1 else "calls"
    return (
        f"{dollars(sum(row.nano for row in listed))} · {calls:,} {noun} · "
        f"{prompt:,} tokens of prompts{share} · {answer:,} of answers"
    )


def _ranking(title: str, sums: Iterable[Sum], name: Callable[[Sum], str]) -> list[str]:
    ranked = ranking(sums, name)
    shown = [f"{label} {dollars(nano)}" for label, nano in ranked[:SHOWN_NAMES]]
    others = ranked[SHOWN_NAMES:]
    if others:
        shown.append(f"{len(others)} more {dollars(sum(nano for _, nano in others))}")
    return [f"{title}: {' · '.join(shown)}"]


def ranking(sums: Iterable[Sum], name: Callable[[Sum], str]) -> list[tuple[str, int]]:
    """Returns the names with what theirs comes to in nano-dollars, the dearest first."""
    totals: defaultdict[str, int] = defaultdict(int)
    for row in sums:
        totals[name(row)] += row.nano
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))


def usage_csv(lines: Iterable[LedgerLine]) -> bytes:
    """Returns a table with a heading line for spreadsheets: UTF-8, commas, dollars as numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(
        ("time", "agent", "task", "user", "channel", "model", "provider", "prompt_tokens",
         "cached_tokens", "completion_tokens", "cost_usd", "cost_source", "key_of")
    )  # fmt: skip
    for call in lines:
        row = (
            datetime.fromtimestamp(call.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            call.agent_id, call.task_id, call.user, call.channel, call.model, call.provider,
            call.prompt_tokens, call.cached_tokens, call.completion_tokens,
            f"{call.nano / NANO:.9f}", call.source.value, call.paid_by.value,
        )  # fmt: skip
        writer.writerow([_cell(value) for value in row])
    return out.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
