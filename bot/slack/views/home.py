"""Draws the Home tab of the app: a person's agents, their defaults, and how to start."""

from collections.abc import Mapping, Sequence
from typing import Any

from bot.domain.agent import Agent, RepoRef
from bot.domain.preferences import Preferences
from bot.domain.quoting import code, shown
from bot.domain.settings_command import checked_model
from bot.domain.start_command import EXAMPLE
from bot.errors import InvalidCommand
from bot.slack.views.blocks import Block, actions, button, context, section
from bot.slack.views.lists import agent_line
from bot.slack.views.text import below_field

STOP_HERE, OPEN_DEFAULTS, DEFAULTS = "home_stop", "home_defaults", "home_defaults_form"
SHOWN_RUNNING, SHOWN_ENDED = 15, 5
_HOW = f"""*How to start*
In a channel: `{EXAMPLE}`, or mention me with a repository and a task.
From any message: "Start an agent" in its menu. In its thread, a reply steers and \
:octagonal_sign: stops it.
`/agent help` shows everything."""


def home_view(
    agents: Sequence[Agent], mine: Preferences, default_model: str, workspace_url: str
) -> dict[str, Any]:
    """Returns the tab; `agents` are the person's own, the newest first."""
    running = [agent for agent in agents if agent.alive]
    ended = [agent for agent in agents if not agent.alive][:SHOWN_ENDED]
    blocks: list[Block] = [section(_counted(len(running)))]
    for agent in running[:SHOWN_RUNNING]:
        blocks += _running(agent, workspace_url)
    if len(running) > SHOWN_RUNNING:
        blocks.append(context(f"and {len(running) - SHOWN_RUNNING} more"))
    if ended:
        blocks.append(section("*Ended*"))
        blocks += [context(agent_line(agent, workspace_url)) for agent in ended]
    blocks += [{"type": "divider"}, section(_defaults(mine, default_model))]
    blocks.append(actions([button("Change", OPEN_DEFAULTS, "defaults")]))
    blocks += [{"type": "divider"}, section(_HOW)]
    return {"type": "home", "blocks": blocks}


def closed_view(why_not: str) -> dict[str, Any]:
    """Returns the tab of somebody who may not use agents here."""
    return {"type": "home", "blocks": [section(why_not)]}


def defaults_form(mine: Preferences) -> dict[str, Any]:
    """Returns the form for a person's own repository and model."""
    return {
        "type": "modal",
        "callback_id": DEFAULTS,
        "title": {"type": "plain_text", "text": "Your defaults"},
        "submit": {"type": "plain_text", "text": "Save"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [
            context("They count where a channel has none of its own."),
            _field("repo", "Repository", "owner/name", str(mine.repo or "")),
            _field("model", "Model", "the default model", shown(mine.model or "")),
        ],
    }


def read_defaults(view: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the typed values and the errors, by field. Empty means the default."""
    values = view.get("state", {}).get("values", {})
    typed = {
        name: str(values.get(name, {}).get(name, {}).get("value") or "").strip()
        for name in ("repo", "model")
    }
    errors: dict[str, str] = {}
    for name, check in (("repo", RepoRef.parse), ("model", checked_model)):
        try:
            if typed[name]:
                typed[name] = str(check(typed[name]))
        except InvalidCommand as error:
            errors[name] = below_field(error)
    return typed, errors


def _counted(count: int) -> str:
    if not count:
        return "*You have no agent that runs.*"
    return "*1 agent of yours runs*" if count == 1 else f"*{count} agents of yours run*"


def _running(agent: Agent, workspace_url: str) -> list[Block]:
    stop = button("Stop", STOP_HERE, f"{agent.id}:", "danger")
    return [section(agent_line(agent, workspace_url)), actions([stop])]


def _defaults(mine: Preferences, default_model: str) -> str:
    repo = code(str(mine.repo), 150) if mine.repo else "none"
    model = code(mine.model or default_model, 200)
    return f"*Your defaults*\nRepository: {repo} · Model: {model}"


def _field(name: str, label: str, placeholder: str, value: str) -> Block:
    element: dict[str, Any] = {
        "type": "plain_text_input",
        "action_id": name,
        "max_length": 200,
        "placeholder": {"type": "plain_text", "text": placeholder},
    }
    if value:
        element["initial_value"] = value
    return {
        "type": "input",
        "block_id": name,
        "optional": True,
        "label": {"type": "plain_text", "text": label},
        "element": element,
    }
