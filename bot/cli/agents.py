"""`threadsmith ps`, `logs`, `stop`, `prune`, `uninstall`: what this deployment has, by label."""

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

from bot.config import Settings
from bot.errors import BotError, UserError

if TYPE_CHECKING:
    from bot.domain.agent import Agent
    from bot.runtime.inventory import Inventory, Resource

_HOUR = 3_600
# What a bot keeps in DATA_DIR; nothing else of it is ever removed.
_OURS = (
    "*.db", "*.db-wal", "*.db-shm", "*.db.before-*", "*.db.owner", "owner", "instance", "secret",
    "secrets.key", "gateway.json", "control.sock",
)  # fmt: skip


@click.command("ps")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
def ps_command(*, as_json: bool) -> None:
    """List the agents that are alive, and every container and volume that no such agent has."""
    with _explained():
        settings, instance = _deployment()
        with _inventory(instance) as inventory:
            things = inventory.resources() if inventory else ()
        agents = asyncio.run(_agents(settings))
    if as_json:
        rows = [{"id": a.id, "status": a.status.value, "repository": str(a.repo)} for a in agents]
        click.echo(json.dumps({"agents": rows, "things": [asdict(one) for one in things]}))
        return
    for agent in agents:
        mine = [one.state for one in things if one.agent_id == agent.id and one.state]
        click.echo(
            f"{agent.id:10}{agent.status.value:10}{_age(time.time() - agent.created_at):>6}  "
            f"{agent.repo!s:30}  {mine[0] if mine else 'no container'}"
        )
    rest = _leftover(things, {agent.id for agent in agents})
    for one in rest:
        click.echo(f"{one.agent_id or '-':10}{'leftover':10}{'':>6}  {one.kind.value} {one.name}")
    if not agents and not rest:
        click.echo("Nothing runs here.")


@click.command("logs")
@click.argument("agent_id")
@click.option("--lines", "-n", default=200, show_default=True, help="How many of the last lines.")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
def logs_command(agent_id: str, lines: int, *, follow: bool) -> None:
    """Show what the bridge in an agent's container has logged."""
    from bot.redaction import Redactor

    with _explained():
        settings, instance = _deployment()
        redact = Redactor(settings.secrets)
        with _needed(instance) as inventory:
            for piece in inventory.logs(_checked(agent_id), lines, follow=follow):
                click.echo(redact(piece.decode(errors="replace")), nl=False)


@click.command("stop")
@click.argument("agent_id")
def stop_command(agent_id: str) -> None:
    """Stop an agent: what it changed is kept, its container is removed, its thread is told."""
    from bot.store.ownership import holder

    with _explained():
        settings, instance = _deployment()
        data_dir = settings.data_dir.resolve()
        if holder(data_dir):
            from bot.app.control_socket import ask_to_stop

            asyncio.run(ask_to_stop(data_dir, _checked(agent_id)))
            click.echo(f"{agent_id} is stopped.")
        else:
            from bot.app.offline import stop_offline

            asyncio.run(stop_offline(settings, instance, _checked(agent_id)))
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
    with _explained():
        settings, instance = _deployment()
        with _needed(instance) as inventory:
            # First the engine, then the rows: a row is there before its container.
            things = inventory.resources()
            needed = {agent.id for agent in asyncio.run(_agents(settings, kept=not kept))}
            _remove(inventory, _leftover(things, needed), yes=yes)


@click.command("uninstall")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--data", is_flag=True, help="Also the database, keys and names in DATA_DIR.")
@click.option("--image", is_flag=True, help="Also the image of the bridge.")
def uninstall_command(*, yes: bool, data: bool, image: bool) -> None:
    """Remove all that this deployment has made on its engine. End the bot first."""
    from bot.store.ownership import holder

    with _explained():
        settings, instance = _deployment()
        data_dir = settings.data_dir.resolve()
        if who := holder(data_dir):
            raise click.ClickException(f"A bot runs here ({who}). End it first.")
        with _needed(instance) as inventory:
            _remove(inventory, inventory.resources(), yes=yes)
            if image:
                gone = inventory.remove_image(settings.bridge_image)
                click.echo(f"{settings.bridge_image}: {'removed' if gone else 'kept, or not here'}")
        if data and (yes or click.confirm(f"Remove the database and the keys in {data_dir}?")):
            _forget(data_dir)
        elif not data:
            click.echo(f"The database and the keys in {data_dir} stay; `--data` removes them.")


COMMANDS = (ps_command, logs_command, stop_command, prune_command, uninstall_command)


def _remove(inventory: "Inventory", things: Sequence["Resource"], *, yes: bool) -> None:
    """Show, ask, remove; what cannot be removed stops none of the others."""
    if not things:
        click.echo("Nothing of this deployment is there to remove.")
        return
    for one in things:
        click.echo(f"{one.kind.value:10} {one.name}")
    if not yes and not click.confirm(f"Remove these {len(things)}?"):
        raise click.Abort
    failed = 0
    for one in things:
        try:
            inventory.remove(one)
        except BotError as error:
            failed += 1
            click.echo(f"{one.name} is still there: {error}", err=True)
    click.echo(f"{len(things) - failed} removed.")
    if failed:
        sys.exit(1)


def _forget(data_dir: Path) -> None:
    for pattern in _OURS:
        for path in data_dir.glob(pattern):
            path.unlink()
    shutil.rmtree(data_dir / "sockets", ignore_errors=True)
    rest = sorted(path.name for path in data_dir.iterdir())
    if not rest:
        with contextlib.suppress(OSError):  # a mount, or in a folder of somebody else's
            data_dir.rmdir()
    said = f" but for: {', '.join(rest[:10])}" if rest else ""
    click.echo(f"{data_dir} is {'emptied' if data_dir.exists() else 'removed'}{said}.")


def _leftover(things: Sequence["Resource"], needed: set[str]) -> Sequence["Resource"]:
    return [one for one in things if one.agent_id and one.agent_id not in needed]


async def _agents(settings: Settings, *, kept: bool = False) -> Sequence["Agent"]:
    """The agents that are alive, or `kept` for a restart; nothing is upgraded beneath a bot."""
    from bot.domain.agent import AgentStatus, Leftover
    from bot.store.agents import SqlStore
    from bot.store.engine import Engines, parse_url, path_of

    url = parse_url(settings.database)
    path = path_of(url)
    if path is not None and not path.exists():
        return ()
    store = SqlStore(Engines.of(url))
    try:
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
    """The settings, and the name of this deployment on its engine; it is never made here."""
    settings = Settings.read()
    try:
        return settings, (settings.data_dir / "instance").read_text().strip()
    except OSError as error:
        raise click.ClickException(
            f"No bot has ever run with {settings.data_dir.resolve()}, so there is nothing of it. "
            "Go to the folder where it runs, or set DATA_DIR."
        ) from error


@contextmanager
def _needed(instance: str) -> "Iterator[Inventory]":
    from bot.runtime.inventory import Inventory

    with Inventory(instance) as inventory:
        yield inventory


@contextmanager
def _inventory(instance: str) -> "Iterator[Inventory | None]":
    """The engine's side; without an engine the rest is shown all the same."""
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


@contextmanager
def _explained() -> Iterator[None]:
    """What goes wrong, as one line."""
    try:
        yield
    except UserError as error:
        raise click.ClickException(error.user_text) from error
    except BotError as error:
        raise click.ClickException(str(error)) from error


def _checked(agent_id: str) -> str:
    if not agent_id.isascii() or not agent_id.isalnum():
        raise click.UsageError("That is no agent's id. `threadsmith ps` shows them.")
    return agent_id


def _age(seconds: float) -> str:
    hours, rest = divmod(int(max(seconds, 0)), _HOUR)
    return f"{hours // 24}d" if hours >= 48 else f"{hours}h" if hours else f"{rest // 60}min"  # noqa: PLR2004
