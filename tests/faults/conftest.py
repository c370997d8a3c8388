"""The same real parts as in the end-to-end tests, with a bot that is quick to notice things."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from playground.model.parsed_conversation import ScriptedCall, ScriptedTurn
from playground.model.scenarios import RIGHT_LINE, SOURCE_FILE, WRONG_LINE, sequence
from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from playground.slack.slack_settings import SlackSettings
from tests.e2e.conftest import Deployment, deployed, engine, leftovers

__all__ = ["engine", "leftovers"]

# An edit, and then a command that is surely at work when something happens to the container.
EDIT_THEN_WAIT = sequence(
    ScriptedTurn(
        "I edit first.",
        (
            ScriptedCall(
                "edit_file",
                {"path": SOURCE_FILE, "old_text": WRONG_LINE, "new_text": RIGHT_LINE},
            ),
        ),
    ),
    ScriptedTurn(
        "Now I wait.",
        (
            ScriptedCall(
                "run_command", {"command": ["python3", "-c", "import time; time.sleep(25)"]}
            ),
        ),
    ),
)
QUICK = {"RECONCILE_SECONDS": "1", "SLEEP_AFTER_SECONDS": "3600"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """A model that takes its time, so that there is a middle in which things can break."""
    settings = PlaygroundSettings(
        model=ModelSettings(chunk_delay_seconds=0.03), slack=SlackSettings(limits_enabled=False)
    )
    async with running(settings) as playground:
        playground.model.scenarios.add("edit-then-wait", EDIT_THEN_WAIT)
        data_dir: Path = tmp_path_factory.mktemp("data")
        async with deployed(playground, data_dir, QUICK) as deployment:
            yield deployment
