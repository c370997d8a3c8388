from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.app import Stage, stage as make_stage


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    for part in ("run", "message_delivery"):
        monkeypatch.setattr(f"bot.agents.lifecycle.{part}.RETRY_SECONDS", 0.001)
    async with make_stage(tmp_path) as made:
        yield made
