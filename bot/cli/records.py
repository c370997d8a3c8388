"""Commands over what is stored of an agent: write it to a file, take it back, run it again."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import BaseModel, ConfigDict, ValidationError

from bot.config import Settings
from bot.errors import BotError, UserError
from bridge.protocol import AgentEvent, SavedConversation, parse_event

FORMAT = 1
MAX_RECORDS_BYTES = 256 * 1_048_576

T = TypeVar("T")


class AgentRecord(BaseModel):
    """An exported agent: its events, and the conversation as of its last task."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    threadsmith_record: int
    agent: str
    repository: str
    model: str
    events: tuple[dict[str, Any], ...]
    conversation: SavedConversation | None = None

    def read_events(self) -> list[AgentEvent]:
        """The events; raises ValidationError for one that is none."""
        return [parse_event(json.dumps(event)) for event in self.events]


@click.command("export")
@click.argument("agent_id")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A new file.")
def export_command(agent_id: str, output: Path | None) -> None:
    """Write an agent's events and conversation to a file (AGENT_ID.json)."""
    path = output or Path(f"{agent_id}.json")
    record = _run(lambda store: _exported(store, agent_id))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(record.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}.") from error
    click.echo(f"{path}: {len(record.events)} events. It holds what people and the agent wrote.")


@click.command("import")
@click.argument("agent_id")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_command(agent_id: str, file: Path) -> None:
    """Give an agent that has ended the conversation of a file; "restart" goes on from it."""
    record = _read(file)
    if record.conversation is None:
        raise click.ClickException(f"{file} holds no conversation.")
    conversation = record.conversation
    _run(lambda store: _imported(store, agent_id, conversation))
    click.echo(f'{agent_id} has the conversation of {record.agent}. Reply "restart" in its thread.')


@click.command("replay")
@click.argument("agent")
def replay_command(agent: str) -> None:
    """Run a recorded agent again, by its id or from an exported file.

    The loop is the real one; model and tools answer from the record, and nothing is sent anywhere.
    Ends with status 1 when something comes out otherwise than recorded.
    """
    path = Path(agent)
    record = _read(path) if path.is_file() else _run(lambda store: _exported(store, agent))
    lines = "".join(json.dumps(event) + "\n" for event in record.events)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        # A process of its own: the bot knows the bridge by its protocol only.
        command = [sys.executable, "-m", "bridge.replay", file.name]
        sys.exit(subprocess.run(command, check=False).returncode)


COMMANDS = (export_command, import_command, replay_command)


def _read(file: Path) -> AgentRecord:
    try:
        if file.stat().st_size > MAX_RECORDS_BYTES:
            raise click.ClickException(f"{file} is too large to be an agent's record.")
        record = AgentRecord.model_validate_json(file.read_bytes())
        record.read_events()
    except OSError as error:
        raise click.ClickException(f"{file} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        raise click.ClickException(f"{file} is no record of an agent.") from error
    if record.threadsmith_record > FORMAT:
        raise click.ClickException(f"{file} was written by a newer version.")
    return record


async def _exported(store: Any, agent_id: str) -> AgentRecord:  # noqa: ANN401  (imported late)
    agent = await store.agent(agent_id)
    if agent is None:
        raise UserError(f"There is no agent {agent_id}.")
    events: Sequence[AgentEvent] = await store.events(agent_id)
    saved = await store.saved_state(agent_id)
    kept = saved.conversation if saved else b""
    return AgentRecord(
        threadsmith_record=FORMAT,
        agent=agent.id,
        repository=str(agent.repo),
        model=agent.model,
        events=tuple(event.model_dump(mode="json") for event in events),
        conversation=SavedConversation.model_validate_json(kept) if kept else None,
    )


async def _imported(store: Any, agent_id: str, conversation: SavedConversation) -> None:  # noqa: ANN401  (imported late)
    from bot.domain.saved_state import (
        SavedState,
    )

    saved = await store.saved_state(agent_id)
    async with store.transaction() as tx:
        agent = await tx.agent(agent_id)
        if agent is None:
            raise UserError(f"There is no agent {agent_id}.")
        if agent.alive:
            raise UserError(f"{agent_id} has not ended. Stop it first.")
        # What waited there was told to another thread; here nobody would know of it.
        body = conversation.model_copy(update={"waiting": ()}).model_dump_json().encode()
        patch, at = (saved.patch, saved.at) if saved else (b"", 0.0)
        await tx.save_state(agent.id, SavedState(body, patch, agent.last_seq, at))


def _run(action: Callable[[Any], Awaitable[T]]) -> T:
    """Do something with the store of this deployment; errors become one line."""

    async def act() -> T:
        from bot.store.agents import SqlStore

        settings = Settings.read()
        store = await SqlStore.open(settings.database, settings.data_dir)
        try:
            return await action(store)
        finally:
            await store.close()

    try:
        return asyncio.run(act())
    except UserError as error:
        raise click.ClickException(error.user_text) from error
    except BotError as error:
        raise click.ClickException(str(error)) from error
