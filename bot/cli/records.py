"""Commands over what is stored: export, import and replay an agent, forget the secrets."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import BaseModel, ConfigDict, ValidationError

from bot.cli.errors import explain_errors
from bot.config import Settings
from bot.errors import UserError
from bridge.protocol import AgentEvent, SavedConversation, parse_event

if TYPE_CHECKING:
    from bot.store.agents import SqlStore

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
        """Parses the events; raises ValidationError for one that is none."""
        return [parse_event(json.dumps(event)) for event in self.events]


@click.command("export")
@click.argument("agent_id")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A new file.")
def export_command(agent_id: str, output: Path | None) -> None:
    """Write an agent's events and conversation to a file (AGENT_ID.json)."""
    path = output or Path(f"{agent_id}.json")
    record = _run(lambda store: _export(store, agent_id))
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
    record = _read_record(file)
    if record.conversation is None:
        raise click.ClickException(f"{file} holds no conversation.")
    conversation = record.conversation
    _run(lambda store: _import(store, agent_id, conversation))
    click.echo(f'{agent_id} has the conversation of {record.agent}. Reply "restart" in its thread.')


@click.command("replay")
@click.argument("agent")
def replay_command(agent: str) -> None:
    """Run a recorded agent again, by its id or from an exported file.

    The loop is the real one; model and tools answer from the record, and nothing is sent anywhere.
    Ends with status 1 when a result differs from the record.
    """
    path = Path(agent)
    record = _read_record(path) if path.is_file() else _run(lambda store: _export(store, agent))
    lines = "".join(json.dumps(event) + "\n" for event in record.events)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        # A process of its own: the bot knows the bridge by its protocol only.
        command = [sys.executable, "-m", "bridge.replay", file.name]
        sys.exit(subprocess.run(command, check=False).returncode)


@click.command("forget-secrets")
@click.confirmation_option(prompt="Every stored secret is lost. Go on?")
def forget_secrets_command() -> None:
    """Remove every stored secret, when the key to them is lost. Stop the bot first."""
    count = _run(lambda store: store.secret_rows.forget_all(time.time()))
    click.echo(f"{count} secrets are removed.")


COMMANDS = (export_command, import_command, replay_command, forget_secrets_command)


def _read_record(file: Path) -> AgentRecord:
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


async def _export(store: "SqlStore", agent_id: str) -> AgentRecord:
    agent = await store.agent(agent_id)
    if agent is None:
        raise UserError(f"There is no agent {agent_id}.")
    events: Sequence[AgentEvent] = await store.events(agent_id)
    if left_out := store.unreadable_events(agent_id):
        click.echo(f"{left_out} of its events cannot be read and are left out.", err=True)
    saved = await store.saved_state(agent_id)
    return AgentRecord(
        threadsmith_record=FORMAT,
        agent=agent.id,
        repository=str(agent.repo),
        model=agent.model,
        events=tuple(event.model_dump(mode="json") for event in events),
        conversation=_readable(saved.conversation) if saved else None,
    )


def _readable(conversation: bytes) -> SavedConversation | None:
    """Returns a kept conversation; None when there is none, or none that can be read."""
    if not conversation:
        return None
    try:
        return SavedConversation.model_validate_json(conversation)
    except ValidationError:
        click.echo("Its conversation cannot be read and is left out.", err=True)
        return None


async def _import(store: "SqlStore", agent_id: str, conversation: SavedConversation) -> None:
    from bot.domain.saved_state import SavedState

    saved = await store.saved_state(agent_id)
    async with store.transaction() as tx:
        agent = await tx.agent(agent_id)
        if agent is None:
            raise UserError(f"There is no agent {agent_id}.")
        if agent.alive:
            raise UserError(f"{agent_id} has not ended. Stop it first.")
        # A message that waited there was written in another thread; nobody knows of it here.
        body = conversation.model_copy(update={"waiting": ()}).model_dump_json().encode()
        patch, at = (saved.patch, saved.at) if saved else (b"", 0.0)
        await tx.save_state(agent.id, SavedState(body, patch, agent.last_seq, at))


def _run(action: "Callable[[SqlStore], Awaitable[T]]") -> T:
    """Runs an action with the store of this deployment; its error becomes one line."""

    async def run_with_store() -> T:
        from bot.store.agents import SqlStore

        settings = Settings.read()
        store = await SqlStore.open(settings.database, settings.data_dir.resolve())
        try:
            return await action(store)
        finally:
            await store.close()

    with explain_errors():
        return asyncio.run(run_with_store())
