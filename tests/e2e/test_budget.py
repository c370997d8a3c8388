"""A budget on real parts: the gateway refuses, the task ends, a button adds, the agent goes on."""

import sqlite3
from contextlib import closing

import pytest

from tests.e2e.conftest import Stage

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


def ledger(stage: Stage, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(stage.bot.data_dir / "threadsmith.db")) as connection:
        return connection.execute(query).fetchall()


async def test_a_used_budget_ends_the_task_and_a_button_adds_to_it(
    stage: Stage, leftovers: None
) -> None:
    ana, ben = stage.person("ana"), stage.person("ben")
    assert (await ana.slash("/agent", "demo/todo --budget 0.06 fix the failing test")).ok
    thread = (await stage.root("fix the failing test"))["ts"]
    notice = await stage.said("Budget used:", thread)
    assert "of $0.06" in notice["text"]
    buttons = [element["text"]["text"] for element in notice["blocks"][-1]["elements"]]
    assert buttons[:3] == ["+$1", "+$5", "Stop"]
    await stage.said("Task 1* budget used", thread)
    [(spent, budget)] = ledger(stage, "SELECT spent_nano, budget_nano FROM agent")
    assert isinstance(spent, int)
    assert isinstance(budget, int)
    assert 0 < spent <= budget == 60_000_000

    await ben.click("agent_budget_1", "general", notice["ts"])
    await stage.said("adds $1. The budget is $1.06 now.", thread)
    answer = await stage.said("Go on where you stopped", thread, after=notice["ts"])
    assert any("of $1.06" in str(block) for block in answer["blocks"])

    # What the ledger holds is what the scripted model would bill.
    [(total, count)] = ledger(stage, "SELECT SUM(nano), COUNT(*) FROM usage")
    assert total == stage.playground.model.bill_nano
    assert count == len(stage.playground.model.requests)
    assert ledger(stage, "SELECT DISTINCT source FROM usage") == [("provider",)]
    await ana.react("general", thread, "octagonal_sign")
    await stage.said("Stopped by", thread)
    await stage.no_containers()
