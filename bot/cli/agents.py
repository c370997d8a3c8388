"""`threadsmith ps`, `logs`, `stop`, `prune`, `uninstall`: the agents and all that they use.

The containers and volumes of this deployment are told from others by their labels.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.errors import explain_errors
from bot.config import Settings
from bot.errors import BotError

if TYPE_CHECKING:
    from bot.domain.agent import Agent
    from bot.runtime.inventory import Inventory, Resource

_MINUTE = 60
# Longer ages are shown in days.
_HOURS_SHOWN = 48
# The files of a bot in DATA_DIR; no other file there is ever removed.
_DATA_FILES = (
    "*.db", "*.db-wal", "*.db-shm", "*.db.before-*", "*.db.owner", "owner", "instance", "secret",
    "secrets.key", "gateway.json", "control.sock",
)  # fmt: skip


@click.command("ps")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def ps_command(*, as_json: bool) -> None:
    """List the agents that are alive, and every container and volume that no such agent has."""
    with explain_errors():
        settings, instance = _deployment()
        with _inventory(instance) as inventory:
            resources = inventory.resources() if inventory else ()
        agents = asyncio.run(_agents(settings))
    if as_json:
        rows = [{"id": a.id, "status": a.status.value, "repository": str(a.repo)} for a in agents]
        click.echo(json.dumps({"agents": rows, "things": [asdict(r) for r in resources]}))
        return
    for agent in agents:
        states = [r.state for r in resources if r.agent_id == agent.id and r.state]
        click.echo(
            f"{agent.id:10}{agent.status.value:10}{_age(time.time() - agent.created_at):>6}  "
            f"{agent.repo!s:30}  {states[0] if states else 'no container'}"
        )
    leftovers = _leftovers(resources, {agent.id for agent in agents})
    for resource in leftovers:
        click.echo(
            f"{resource.agent_id or '-':10}{'leftover':10}{'':>6}  "
            f"{resource.kind.value} {resource.name}"
        )
    if not agents and not leftovers:
        click.echo("Nothing runs here.")


@click.command("logs")
@click.argument("agent_id")
@click.option("--lines", "-n", default=200, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
def logs_command(agent_id: str, lines: int, *, follow: bool) -> None:
    """Show what the bridge in an agent's container has logged."""
    from bot.redaction import Redactor

    with explain_errors():
        settings, instance = _deployment()
        redact = Redactor(settings.secrets)
        with _required_inventory(instance) as inventory:
            for piece in inventory.logs(_valid_id(agent_id), lines, follow=follow):
                click.echo(redact(piece.decode(errors="replace")), nl=False)


@click.command("stop")
@click.argument("agent_id")
def stop_command(agent_id: str) -> None:
    """Stop an agent: what it changed is kept, its container is removed, its thread is told."""
    from bot.store.ownership import holder

    with explain_errors():
        settings, instance = _deployment()
        data_dir = settings.data_dir.resolve()
        if holder(data_dir):
            from bot.app.control_socket import ask_to_stop

            asyncio.run(ask_to_stop(data_dir, _valid_id(agent_id)))
            click.echo(f"{agent_id} is stopped.")
        else:
            from bot.app.offline import stop_offline

            asyncio.run(stop_offline(settings, instance, _valid_id(agent_id)))
            click.echo(f"{agent_id} is stopped. No bot runs: its thread is told at the next start.")


@click.command("prune")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option(
    "--kept",
    is_flag=True,
    help="Also what ended agents could go on from, and what a stop could not read.",
)
def prune_command(*, yes: bool, kept: bool) -> None:
    """Remove containers and volumes of agents that have ended. A bot may run meanwhile."""
    with explain_errors():
        settings, instance = _deployment()
        with _required_inventory(instance) as inventory:
            # First the engine, then the rows: a row is there before its container.
            resources = inventory.resources()
            needed = {agent.id for agent in asyncio.run(_agents(settings, kept=not kept))}
            _remove(inventory, _leftovers(resources, needed), yes=yes)


@click.command("uninstall")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--data", is_flag=True, help="Also the database, keys and names in DATA_DIR.")
@click.option("--image", is_flag=True, help="Also the image of the bridge.")
def uninstall_command(*, yes: bool, data: bool, image: bool) -> None:
    """Remove all that this deployment has made on its engine. End the bot first."""
    from bot.store.ownership import holder

    with explain_errors():
        settings, instance = _deployment()
        data_dir = settings.data_dir.resolve()
        if who := holder(data_dir):
            raise click.ClickException(f"A bot runs here ({who}). End it first.")
        with _required_inventory(instance) as inventory:
            _remove(inventory, inventory.resources(), yes=yes)
            if image:
                gone = inventory.remove_image(settings.bridge_image)
                click.echo(f"{settings.bridge_image}: {'removed' if gone else 'kept, or not here'}")
        if data and (yes or click.confirm(f"Remove the database and the keys in {data_dir}?")):
            _remove_data(data_dir)
        elif not data:
            click.echo(f"The database and the keys in {data_dir} stay; `--data` removes them.")


COMMANDS = (ps_command, logs_command, stop_command, prune_command, uninstall_command)


def _remove(inventory: "Inventory", resources: Sequence["Resource"], *, yes: bool) -> None:
    """Show, ask, remove; a failure with one resource does not stop the others."""
    if not resources:
        click.echo("Nothing of this deployment is there to remove.")
        return
    for resource in resources:
        click.echo(f"{resource.kind.value:10} {resource.name}")
    if not yes and not click.confirm(f"Remove these {len(resources)}?"):
        raise click.Abort
    failed = 0
    for resource in resources:
        try:
            inventory.remove(resource)
        except BotError as error:
            failed += 1
            click.echo(f"{resource.name} is still there: {error}", err=True)
    click.echo(f"{len(resources) - failed} removed.")
    if failed:
        sys.exit(1)


def _remove_data(data_dir: Path) -> None:
    """Removes the bot's own files, and the folder when it is empty then."""
    for pattern in _DATA_FILES:
        for path in data_dir.glob(pattern):
            path.unlink()
    shutil.rmtree(data_dir / "sockets", ignore_errors=True)
    others = sorted(path.name for path in data_dir.iterdir())
    if not others:
        with contextlib.suppress(OSError):  # a mount, or in a folder of somebody else's
            data_dir.rmdir()
    exception = f" but for: {', '.join(others[:10])}" if others else ""
    click.echo(f"{data_dir} is {'emptied' if data_dir.exists() else 'removed'}{exception}.")


def _leftovers(resources: Sequence["Resource"], needed: set[str]) -> Sequence["Resource"]:
    return [r for r in resources if r.agent_id and r.agent_id not in needed]


async def _agents(settings: Settings, *, kept: bool = False) -> Sequence["Agent"]:
    """Reads the agents that are alive, or `kept` for a restart, without upgrading the database.

    Raises ConfigurationError when the database is too old to be read as it is.
    """
    from bot.domain.agent import AgentStatus, Leftover
    from bot.store.agents import SqlStore
    from bot.store.database import Engines, parse_url, path_of
    from bot.store.migrate import explain_version

    url = parse_url(settings.database)
    path = path_of(url)
    if path is not None and not path.exists():
        return ()
    engines = Engines.of(url)
    store = SqlStore(engines)
    try:
        async with explain_version(engines):
            agents = await store.agents(alive=not kept)
    finally:
        await store.close()
    return [
        agent
        for agent in agents
        if agent.alive
        or agent.status is not AgentStatus.STOPPED
        or agent.leftover is not Leftover.NOTHING
    ]


def _deployment() -> tuple[Settings, str]:
    """Reads the settings, and the name of this deployment, which only a bot makes."""
    settings = Settings.read()
    try:
        return settings, (settings.data_dir / "instance").read_text().strip()
    except OSError as error:
        raise click.ClickException(
            f"No bot has ever run with {settings.data_dir.resolve()}, so there is nothing of it. "
            "Go to the folder where it runs, or set DATA_DIR."
        ) from error


@contextmanager
def _required_inventory(instance: str) -> "Iterator[Inventory]":
    """Opens the engine's inventory; raises EngineError when there is no engine."""
    from bot.runtime.inventory import Inventory

    with Inventory(instance) as inventory:
        yield inventory


@contextmanager
def _inventory(instance: str) -> "Iterator[Inventory | None]":
    """Opens the engine's inventory; None, and a warning, when there is no engine."""
    from bot.errors import EngineError
    from bot.runtime.inventory import Inventory

    try:
        inventory = Inventory(instance)
    except EngineError as error:
        click.echo(f"threadsmith: {error.user_text}", err=True)
        yield None
        return
    with inventory:
        yield inventory


def _valid_id(agent_id: str) -> str:
    if not agent_id.isascii() or not agent_id.isalnum():
        raise click.UsageError("That is no agent's id. `threadsmith ps` shows them.")
    return agent_id


def _age(seconds: float) -> str:
    minutes = int(max(seconds, 0)) // _MINUTE
    hours = minutes // 60
    if hours >= _HOURS_SHOWN:
        return f"{hours // 24}d"
    return f"{hours}h" if hours else f"{minutes}min"
