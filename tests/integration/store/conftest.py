"""A store on a real SQLite file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store.store import SqlStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(f"sqlite+aiosqlite:///{tmp_path / 'bot.db'}", tmp_path)
    yield opened
    await opened.close()
