"""A budget on real parts: the gateway refuses, the task ends, a button adds, the agent goes on."""

import sqlite3
from contextlib import closing

import pytest

from tests.e2e.conftest import Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


def ledger(deployment: Deployment, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(deployment.bot.data_dir / "threadsmith.db")) as connection:
        return connection.execute(query).fetchall()


async def test_a_used_budget_ends_the_task_and_a_button_adds_to_it(
    deployment: Deployment, leftovers: None
) -> None:
    ana, ben = deployment.person("ana"), deployment.person("ben")
    assert (await ana.slash("/agent", "demo/todo --budget 0.06 fix the failing test")).ok
    thread = (await deployment.wait_for_root("fix the failing test"))["ts"]
    notice = await deployment.wait_for_reply("Budget used:", thread)
    assert "of $0.06" in notice["text"]
    buttons = [element["text"]["text"] for element in notice["blocks"][-1]["elements"]]
    assert buttons[:3] == ["+$1", "+$5", "Stop"]
    await deployment.wait_for_reply("Task 1* budget used", thread)
    [(spent, budget)] = ledger(deployment, "SELECT spent_nano, budget_nano FROM agent")
    assert isinstance(spent, int)
    assert isinstance(budget, int)
    assert 0 < spent <= budget == 60_000_000

    await ben.click("agent_budget_1", "general", notice["ts"])
    await deployment.wait_for_reply("adds $1. The budget is $1.06 now.", thread)
    answer = await deployment.wait_for_reply("Go on where you stopped", thread, after=notice["ts"])
    assert any("of $1.06" in str(block) for block in answer["blocks"])

    # What the ledger holds is what the scripted model would bill.
    [(total, count)] = ledger(deployment, "SELECT SUM(nano), COUNT(*) FROM usage")
    assert total == deployment.playground.model.bill_nano
    assert count == len(deployment.playground.model.requests)
    assert ledger(deployment, "SELECT DISTINCT source FROM usage") == [("provider",)]
    await ana.react("general", thread, "octagonal_sign")
    await deployment.wait_for_reply("Stopped by", thread)
    await deployment.no_containers()
