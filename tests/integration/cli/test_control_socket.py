"""The socket by which the command asks the running bot."""

import asyncio
from pathlib import Path

import pytest

from bot.agents.lifecycle.background_loops import FailingLoop
from bot.app.control_socket import NAME, ask_to_stop, listen_for_operator
from bot.domain.health import Verdict
from bot.errors import BridgeUnreachable, UserError
from tests.integration.cli.conftest import Find


async def test_a_wish_reaches_the_bot_and_its_answer_comes_back(tmp_path: Path) -> None:
    asked: list[str] = []

    async def stop(agent_id: str) -> None:
        asked.append(agent_id)
        if agent_id == "gone":
            raise UserError("There is no agent `gone`.")
        if agent_id == "broken":
            raise BridgeUnreachable("a reason for the log")

    deep = tmp_path / ("d" * 100) / ("e" * 100)  # longer than the kernel takes at once
    deep.mkdir(parents=True)
    (deep / NAME).touch()  # what a killed bot has left
    async with listen_for_operator(deep, stop, list):
        assert (deep / NAME).stat().st_mode & 0o777 == 0o600
        await ask_to_stop(deep, "k3f9ab")
        with pytest.raises(UserError, match="no agent `gone`"):
            await ask_to_stop(deep, "gone")
        with pytest.raises(UserError, match="log of the bot says why"):
            await ask_to_stop(deep, "broken")
        await asyncio.gather(*(ask_to_stop(deep, "k3f9ab") for _ in range(20)))
    assert (len(asked), (deep / NAME).exists()) == (23, False)


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not answer at control\.sock"):
        await ask_to_stop(tmp_path, "k3f9ab")


async def test_a_place_where_no_socket_can_be_made_stops_no_bot(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME / "full").touch()

    async def stop(_agent_id: str) -> None:
        raise AssertionError

    async with listen_for_operator(tmp_path, stop, list):
        assert (tmp_path / NAME).is_dir()


async def test_the_doctor_asks_the_running_bot_which_loops_fail(find: Find, tmp_path: Path) -> None:
    async def stop(_agent_id: str) -> None:
        raise AssertionError

    data_dir = tmp_path / "data"
    finding = await find("background loops")
    assert (finding.verdict, finding.state) == (Verdict.OK, "no running bot here to ask")
    data_dir.mkdir(exist_ok=True)
    failing = [FailingLoop("retention", 12, "ValueError")]
    async with listen_for_operator(data_dir, stop, lambda: failing):
        finding = await find("background loops")
        assert finding.verdict is Verdict.FAIL
        assert "retention (12 failures in a row, ValueError)" in finding.state
        failing.clear()
        assert (await find("background loops")).state == "all of them run"
