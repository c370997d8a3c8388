"""`/agent usage`: who sees what, and where the chart and the table go."""

import csv
import io

from bot.domain.budget import NANO
from bot.domain.usage import CostSource, ModelCall, Settled, UsageTotals
from tests.integration.handlers.conftest import Office


async def spend(office: Office, user: str, nano: int, channel: str = "C0GENERAL0") -> None:
    store = office.harness.store
    call = ModelCall(
        id=f"call-{user}-{nano}", agent_id="k3f9ab", task_id="k3f9ab-1", team="T0PLAYGRND",
        user=user, channel=channel, model="acme/priced", nano=nano, at=office.harness.clock(),
    )  # fmt: skip
    async with store.transaction() as tx:
        await tx.add_call(call)
        await tx.settle_call(call.id, Settled(UsageTotals(), nano, CostSource.PROVIDER))


async def test_everybody_sees_their_own_and_the_channels_sums(office: Office) -> None:
    ana = office.person("ana")
    await spend(office, ana.user.id, 2 * NANO)
    await spend(office, office.person("ben").user.id, NANO, channel="C000000DEV")
    await ana.slash("/agent", "usage")
    mine = await ana.wait_for_ephemeral("'s agents* · the last 30 days")
    assert "$2.00 · 1 call" in mine.text
    await ana.slash("/agent", "usage channel 1", "dev")
    await ana.wait_for_ephemeral("$1.00 · 1 call")
    await office.person("ben").slash("/agent", "usage channel")
    await office.person("ben").wait_for_ephemeral("$2.00 · 1 call")


async def test_the_sums_of_all_are_for_admins(office: Office) -> None:
    await spend(office, office.person("ana").user.id, 2 * NANO)
    await office.person("ben").slash("/agent", "usage all")
    await office.person("ben").wait_for_ephemeral("Only admins may do this")


async def test_the_chart_and_the_table_come_as_files_in_the_direct_messages(
    office: Office,
) -> None:
    ana = office.person("ana")
    await spend(office, ana.user.id, 2 * NANO)
    await ana.slash("/agent", "usage chart")
    await ana.wait_for_ephemeral("in our direct messages, as `chart`")
    await ana.slash("/agent", "usage csv")
    await ana.wait_for_ephemeral("in our direct messages, as `csv`")
    direct = office.slack.state.direct_channel(ana.user.id)
    files = {file.name: file.content or b"" for file in office.slack.state.files.values()}
    assert files["usage.png"].startswith(b"\x89PNG")
    [row] = list(csv.DictReader(io.StringIO(files["usage.csv"].decode())))
    assert (row["model"], row["cost_usd"]) == ("acme/priced", "2.000000000")
    assert len(direct.messages) == 2


async def test_without_calls_nothing_is_drawn_or_listed(office: Office) -> None:
    ana = office.person("ana")
    for form in ("chart", "csv"):
        await ana.slash("/agent", f"usage {form}")
        await ana.wait_for_ephemeral("No model calls.")
    assert not office.slack.state.files
