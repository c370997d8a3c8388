"""Draws the form that asks for a new agent's details, and reads its submission."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.domain.agent import NO_REPOSITORY, RepoRef, checked_branch
from bot.domain.quoting import cut, shown
from bot.domain.settings_command import checked_model
from bot.domain.start_command import MAX_FIRST_TASK_CHARS, StartAgent, checked_task
from bot.errors import InvalidCommand
from bot.slack.views.blocks import MOST_OPTIONS, OPTION_CHARS, option
from bot.slack.views.text import below_field

CALLBACK = "agent_start_form"
# The field's action_id: its options are asked for while a person types in it.
REPOSITORY = "repo"
NONE, NONE_LABEL = "-", "No repository: an empty workspace"
_FIELD_CHARS = 3_000  # the most that Slack takes in one text field


@dataclass(frozen=True, slots=True)
class FormLocation:
    """The place where an agent starts: a new thread of the channel, or the thread named."""

    channel: str
    thread_ts: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """The values in a new form. `listed`: repositories can be searched for."""

    task: str = ""
    repo: str = ""
    model: str = ""
    listed: bool = False


def start_form(place: FormLocation, draft: Draft) -> dict[str, Any]:
    """Returns the modal; the place to answer in travels in its metadata."""
    task = _field("task", "Task", "What should be done?", _FIELD_CHARS, multiline=True)
    if draft.task:
        task["element"]["initial_value"] = cut(shown(draft.task), _FIELD_CHARS)
    model = _field("model", "Model", shown(draft.model) or "the default model", 200, optional=True)
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": json.dumps({"channel": place.channel, "thread_ts": place.thread_ts}),
        "title": {"type": "plain_text", "text": "Start an agent"},
        "submit": {"type": "plain_text", "text": "Start"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [
            _repository_menu(draft.repo) if draft.listed else _repository_field(draft.repo),
            _field("branch", "Branch", "the default branch", 200, optional=True),
            model,
            task,
        ],
    }


def place_of(view: Mapping[str, Any]) -> FormLocation:
    """Returns the place that a form names; an older form named the channel alone."""
    metadata = str(view.get("private_metadata") or "")
    if not metadata.startswith("{"):
        return FormLocation(metadata)
    place = json.loads(metadata)
    return FormLocation(place["channel"], place.get("thread_ts"))


def repository_options(repositories: Sequence[str], typed: str) -> list[dict[str, Any]]:
    """Returns the options for a typed text; a name that is not listed is taken as typed."""
    wanted = typed.strip().lower()
    names = [name for name in repositories if wanted in name.lower() and len(name) <= OPTION_CHARS]
    shown = [option(name) for name in names[: MOST_OPTIONS - 2]]
    if wanted and len(typed.strip()) <= OPTION_CHARS and wanted not in {n.lower() for n in names}:
        with suppress(InvalidCommand):  # it may be no whole name yet
            shown.insert(0, option(str(RepoRef.parse(typed.strip()))))
    if wanted in NONE_LABEL.lower() or not shown:
        shown.append(option(NONE, NONE_LABEL))
    return shown


def read_form(view: Mapping[str, Any]) -> tuple[StartAgent | None, dict[str, str]]:
    """Returns the command in a submission, or the errors by field."""
    values = view.get("state", {}).get("values", {})
    texts = {name: _text(values, name) for name in (REPOSITORY, "branch", "model", "task")}
    errors: dict[str, str] = {}

    def checked(name: str, check: Any) -> Any:  # noqa: ANN401  (four checks, four types)
        try:
            return check(texts[name]) if texts[name] else None
        except InvalidCommand as error:
            errors[name] = below_field(error)
            return None

    repo = checked(REPOSITORY, _repo)
    branch = checked("branch", checked_branch)
    model = checked("model", checked_model)
    missing = {REPOSITORY: "Name a repository.", "task": "Say what should be done."}
    errors |= {name: text for name, text in missing.items() if not texts[name]}
    if branch and repo == NO_REPOSITORY:
        errors["branch"] = "An empty workspace has no branches."
    if errors or repo is None or len(texts["task"]) > MAX_FIRST_TASK_CHARS:
        return None, errors
    return StartAgent(repo, checked_task(texts["task"], repo), branch, model), {}


def _repo(text: str) -> RepoRef:
    return NO_REPOSITORY if text == NONE else RepoRef.parse(text)


def _text(values: Mapping[str, Any], name: str) -> str:
    held = values.get(name, {}).get(name, {})
    chosen = held.get("selected_option") or held
    return str(chosen.get("value") or "").strip()


def _repository_menu(chosen: str) -> dict[str, Any]:
    element: dict[str, Any] = {
        "type": "external_select",
        "action_id": REPOSITORY,
        "min_query_length": 0,
        "placeholder": {"type": "plain_text", "text": "Search, or type owner/name"},
    }
    if chosen and len(chosen) <= OPTION_CHARS:
        element["initial_option"] = option(chosen)
    return {
        "type": "input",
        "block_id": REPOSITORY,
        "label": {"type": "plain_text", "text": "Repository"},
        "element": element,
    }


def _repository_field(chosen: str) -> dict[str, Any]:
    field = _field(REPOSITORY, "Repository", "owner/name", 150)
    field["hint"] = {"type": "plain_text", "text": f"{NONE} is an empty workspace"}
    if chosen:
        field["element"]["initial_value"] = chosen
    return field


def _field(
    name: str,
    label: str,
    placeholder: str,
    max_length: int,
    *,
    optional: bool = False,
    multiline: bool = False,
) -> dict[str, Any]:
    return {
        "type": "input",
        "block_id": name,
        "optional": optional,
        "label": {"type": "plain_text", "text": label},
        "element": {
            "type": "plain_text_input",
            "action_id": name,
            "multiline": multiline,
            "max_length": max_length,
            "placeholder": {"type": "plain_text", "text": cut(placeholder, 150)},
        },
    }
