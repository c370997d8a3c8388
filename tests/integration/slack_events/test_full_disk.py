"""With a full disk: starts are refused in words, stop works, and all is well when there is room."""

import asyncio
import contextlib
import dataclasses
import itertools
import sqlite3

from sqlalchemy import text

from bot.agents.stop import STOPPED_UNSTORED
from bot.domain.agent import AgentStatus
from tests.integration.slack_events.conftest import SETTINGS, STOP, Line
from tests.integration.store.test_trouble import limit_pages

JUNK = (
    "INSERT INTO inbox (key, body, received_at, done_at) VALUES ('fill' || :number, :text, 1, 1)",
    (
        "INSERT INTO outbox"
        " (id, agent_id, key, kind, channel, priority, payload, state, created_at)"
        " VALUES ('fill' || :number, :agent, 'fill' || :number, 'message', 'C', 1, :text,"
        " 'sent', 1)"
    ),
    (
        'INSERT INTO message (agent_id, id, user, text, task_id, mode, "order", delivered_at)'
        " VALUES (:agent, 'fill' || :number, 'U', :text, 't', 'steer', 9, 1)"
    ),
    (
        "INSERT INTO event (agent_id, seq, task_id, body)"
        " VALUES (:agent, 1000 + :number, 'fill', :text)"
    ),
)


async def fill(line: Line) -> None:
    """Leave no room for anything: not on new pages, and not on the old ones."""
    engines = line.harness.store._engines
    (agent,) = await line.harness.store.agents()
    await limit_pages(engines, 0)
    async with engines.writer.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver
        for statement in JUNK:
            numbers = itertools.count(1)
            for size in (3_000, 1_000, 100, 1, 1, 1):
                with contextlib.suppress(sqlite3.OperationalError):
                    while True:
                        values = {"number": next(numbers), "text": "x" * size, "agent": agent.id}
                        await driver.execute_fetchall(statement, values)


async def empty(line: Line) -> None:
    engines = line.harness.store._engines
    await limit_pages(engines, 1_000_000)
    async with engines.writing() as connection:
        for table, name in (("inbox", "key"), ("outbox", "key"), ("message", "id")):
            statement = f"DELETE FROM {table} WHERE {name} LIKE 'fill%'"
            await connection.execute(text(statement))
        await connection.execute(text("DELETE FROM event WHERE task_id = 'fill'"))


async def test_a_start_is_refused_and_help_and_list_still_answer(line: Line) -> None:
    await line.in_thread()
    await fill(line)
    ben = line.person("ben")
    assert (await ben.slash("/agent", "acme/api fix that too")).ok
    await ben.wait_for_ephemeral("disk is full")
    assert (await ben.slash("/agent", "list")).ok
    await ben.wait_for_ephemeral("agent runs here")
    assert len(await line.harness.store.agents(alive=False)) == 1
    await empty(line)
    assert (await ben.slash("/agent", "acme/api fix that too")).ok

    async def look() -> bool | None:
        return len(await line.harness.store.agents()) == 2 or None

    await line.harness.changes.found(look)


async def test_an_event_that_cannot_be_stored_is_not_acknowledged_and_comes_again(
    line: Line,
) -> None:
    _, root = await line.in_thread()
    await fill(line)
    quick = dataclasses.replace(SETTINGS, ack_timeout_seconds=0.5)
    line.slack.socket_mode._settings = quick
    await line.person().say("use pytest", thread_ts=root)
    await line.slack.delivery.idle()
    assert line.slack.feed.entries("event_given_up")
    await empty(line)
    assert await line.read()
    assert len(await line.texts(1)) == 1


async def test_a_stop_kills_and_removes_and_is_told_later(line: Line) -> None:
    agent, root = await line.in_thread()
    await fill(line)
    ben = line.person("ben")
    await ben.react("general", root, STOP)
    await ben.wait_for_ephemeral(STOPPED_UNSTORED[:40])
    assert agent.id not in line.harness.runtime.containers
    assert "interrupt" in line.harness.bridge.routes(agent.id)
    await line.harness.fleet.reconcile()
    assert agent.id not in line.harness.runtime.containers
    await empty(line)
    await line.harness.service.stopper.store_late_stops()
    await line.harness.reaches(agent.id, AgentStatus.STOPPED)
    shown = await line.harness.shown(agent.id)
    assert any(key.startswith("stopped:") for key in shown)


async def test_an_agent_at_work_is_followed_again_when_there_is_room(line: Line) -> None:
    agent, _ = await line.in_thread()
    await fill(line)
    line.harness.bridge.finish(agent.id, "Done.")
    async with asyncio.timeout(5):
        while line.harness.fleet.run_of(agent.id):
            await asyncio.sleep(0.01)  # nothing is stored that could be waited for
    found = await line.harness.stored(agent.id)
    assert found.alive
    await empty(line)
    await line.harness.fleet.reconcile()
    await line.harness.reaches(agent.id, AgentStatus.IDLE)
