"""The form that a bare `/agent` opens, and what comes back from it."""

from collections.abc import Mapping
from typing import Any

from bot.domain.agent import RepoRef, checked_branch
from bot.domain.commands import MAX_TASK_CHARS, StartAgent, checked_model, checked_task
from bot.errors import InvalidCommand

CALLBACK = "agent_start_form"
# The most that Slack takes in one text field.
_FIELD_CHARS = 3_000


def start_form(channel: str) -> dict[str, Any]:
    """The modal; the channel to answer in travels in its metadata."""
    return {
        "type": "modal",
        "callback_id": CALLBACK,
        "private_metadata": channel,
        "title": {"type": "plain_text", "text": "Start an agent"},
        "submit": {"type": "plain_text", "text": "Start"},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": [
            _field("repo", "Repository", "owner/name", 150),
            _field("branch", "Branch", "the default branch", 200, optional=True),
            _field("model", "Model", "the default model", 200, optional=True),
            _field("task", "Task", "What should be done?", _FIELD_CHARS, multiline=True),
        ],
    }


def read_form(view: Mapping[str, Any]) -> tuple[StartAgent | None, dict[str, str]]:
    """The command in a submission, or the errors by field."""
    values = view.get("state", {}).get("values", {})
    texts = {name: _text(values, name) for name in ("repo", "branch", "model", "task")}
    errors: dict[str, str] = {}

    def checked(name: str, check: Any) -> Any:  # noqa: ANN401  (four checks, four types)
        try:
            return check(texts[name]) if texts[name] else None
        except InvalidCommand as error:
            errors[name] = error.user_text.replace("`", "")
            return None

    repo = checked("repo", RepoRef.parse)
    branch = checked("branch", checked_branch)
    model = checked("model", checked_model)
    missing = {"repo": "Name a repository.", "task": "Say what should be done."}
    errors |= {name: text for name, text in missing.items() if not texts[name]}
    if errors or repo is None or len(texts["task"]) > MAX_TASK_CHARS:
        return None, errors
    return StartAgent(repo, checked_task(texts["task"], repo), branch, model), {}


def _text(values: Mapping[str, Any], name: str) -> str:
    return str(values.get(name, {}).get(name, {}).get("value") or "").strip()


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
            "placeholder": {"type": "plain_text", "text": placeholder},
        },
    }
