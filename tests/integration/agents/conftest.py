from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.harness.app import AppHarness, app_harness


@pytest.fixture
async def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AppHarness]:
    for part in ("run", "message_delivery"):
        monkeypatch.setattr(f"bot.agents.lifecycle.{part}.RETRY_SECONDS", 0.001)
    async with app_harness(tmp_path) as made:
        yield made
