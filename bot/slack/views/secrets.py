"""Draws the list of stored secrets and the form for a new one; no value is ever shown."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.agent import (
    RepoRef,
    SecretScope,
)
from bot.domain.quoting import code
from bot.domain.secrets import (
    KINDS_OF_SCOPE,
    MAX_VALUE_CHARS,
    SecretEntry,
    SecretKind,
    SecretRef,
    checked_variable,
)
from bot.errors import InvalidCommand
from bot.slack.views.blocks import Block, actions, button, context, section
from bot.slack.views.text import below_field
from bridge.container import is_reserved_variable

LIST, FORM = "secrets_list", "secrets_form"
ADD, REMOVE = "secret_add", "secret_remove"
VALUE = "secret_value"
_MOST_SHOWN = 90
_EXPOSE = "expose"

_KINDS = {
    SecretKind.MODEL_KEY: "Model key",
    SecretKind.GIT_TOKEN: "Git token",
    SecretKind.VARIABLE: "Variable",
}
_SCOPES = {
    SecretScope.USER: "Only me",
    SecretScope.CHANNEL: "This channel",
    SecretScope.REPOSITORY: "A repository",
    SecretScope.DEPLOYMENT: "Everyone",
}
_INTRO = (
    "Stored encrypted, and never shown again. Model keys and Git tokens stay on the host; a "
    "variable reaches the tools of an agent only when it is marked so, when its container starts."
)


@dataclass(frozen=True, slots=True)
class SecretForm:
    """A submission. `sealed` is what was typed, encrypted already."""

    ref: SecretRef
    exposed: bool
    sealed: str


def secrets_list(entries: Sequence[SecretEntry], channel: str) -> dict[str, Any]:
    """Returns the modal with what is stored; each can be removed."""
    blocks: list[Block] = [context(_INTRO)]
    if not entries:
        blocks.append(section("Nothing is stored yet."))
    for entry in entries[:_MOST_SHOWN]:
        remove = button("Remove", REMOVE, _value_of(entry.ref), "danger")
        blocks.append(section(_line(entry)) | {"accessory": remove})
    if len(entries) > _MOST_SHOWN:
        blocks.append(context(f"{len(entries) - _MOST_SHOWN} more are not shown."))
    blocks.append(actions([button("Add a secret", ADD, "add", "primary")]))
    return {
        "type": "modal",
        "callback_id": LIST,
        "private_metadata": channel,
        "title": {"type": "plain_text", "text": "Secrets"},
        "close": {"type": "plain_text", "text": "Done"},
        "blocks": blocks,
    }


def secret_form(channel: str, *, admin: bool) -> dict[str, Any]:
    """Returns the modal for a new secret. Inputs only: a click would send what is typed so far."""
    scopes = list(_SCOPES) if admin else [SecretScope.USER]
    kinds = [kind for kind in _KINDS if admin or kind is not SecretKind.GIT_TOKEN]
    blocks = [
        _select("kind", "What is it?", {kind.value: _KINDS[kind] for kind in kinds}),
        _select("scope", "For whom?", {scope.value: _SCOPES[scope] for scope in scopes}),
    ]
    if admin:
        blocks.append(_text("repository", "Repository", "owner/name, for a repository", 150))
    blocks += [
        _text("name", "Name of the variable", "NPM_TOKEN, for a variable", 64),
        _text(VALUE, "Value", "", MAX_VALUE_CHARS, optional=False, multiline=True),
        _expose(),
    ]
    return {
        "type": "modal",
        "callback_id": FORM,
        "private_metadata": channel,
        "title": {"type": "plain_text", "text": "Add a secret"},
        "submit": {"type": "plain_text", "text": "Store"},
        "close": {"type": "plain_text", "text": "Back"},
        "blocks": blocks,
    }


def read_secret_form(
    view: Mapping[str, Any], team: str, user: str
) -> tuple[SecretForm | None, dict[str, str]]:
    """Returns the secret in a submission, or the errors by field."""
    values = view.get("state", {}).get("values", {})
    kind, scope = SecretKind(_chosen(values, "kind")), SecretScope(_chosen(values, "scope"))
    if kind not in KINDS_OF_SCOPE[scope]:
        only = "A Git token belongs to a repository."
        other = "A repository has Git tokens and variables; a model key is for people or channels."
        return None, {"scope": only if kind is SecretKind.GIT_TOKEN else other}
    name = ""
    owner = {SecretScope.USER: user, SecretScope.CHANNEL: str(view["private_metadata"])}.get(scope)
    errors: dict[str, str] = {}
    try:
        if kind is SecretKind.VARIABLE:
            name = checked_variable(_typed(values, "name"))
    except InvalidCommand as error:
        errors["name"] = below_field(error)
    try:
        if scope is SecretScope.REPOSITORY:
            owner = str(RepoRef.parse(_typed(values, "repository"))).lower()
    except InvalidCommand as error:
        errors["repository"] = below_field(error)
    if errors:
        return None, errors
    whose = "" if scope is SecretScope.DEPLOYMENT else owner or ""
    exposed = bool(_element(values, _EXPOSE).get("selected_options"))
    ref = SecretRef(team, scope, whose, kind, name)
    return SecretForm(ref, exposed, _typed(values, VALUE)), {}


def ref_of_button(value: str, team: str) -> SecretRef:
    """Returns the secret of a Remove button; raises ValueError for a button of another list."""
    scope, owner, kind, name = json.loads(value)
    return SecretRef(team, SecretScope(scope), str(owner), SecretKind(kind), str(name))


def _value_of(ref: SecretRef) -> str:
    return json.dumps([ref.scope.value, ref.owner, ref.kind.value, ref.name])


def _line(entry: SecretEntry) -> str:
    ref = entry.ref
    what = f"*{_KINDS[ref.kind]}*" + (f" {code(ref.name)}" if ref.name else "")
    whose = {
        SecretScope.USER: f"<@{ref.owner}>",
        SecretScope.CHANNEL: f"<#{ref.owner}>",
        SecretScope.REPOSITORY: code(ref.owner),
        SecretScope.DEPLOYMENT: "everyone",
    }
    facts = [what, f"for {whose[ref.scope]}"]
    if ref.kind is SecretKind.VARIABLE:
        facts.append(_use(entry))
    facts.append(f"stored by <@{entry.created_by}> <!date^{int(entry.at)}^{{date_short}}|then>")
    return " · ".join(facts)


def _use(entry: SecretEntry) -> str:
    """Says whether tools get the variable; an earlier version took names that are reserved now."""
    if is_reserved_variable(entry.ref.name):
        return "not given to tools: the name is reserved"
    return "given to tools" if entry.exposed else "not given to tools"


def _element(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    field: Mapping[str, Any] = (values.get(name) or {}).get(name) or {}
    return field


def _typed(values: Mapping[str, Any], name: str) -> str:
    return str(_element(values, name).get("value") or "").strip()


def _chosen(values: Mapping[str, Any], name: str) -> str:
    return str((_element(values, name).get("selected_option") or {}).get("value") or "")


def _select(name: str, label: str, options: Mapping[str, str]) -> Block:
    shown = [_option(text, value) for value, text in options.items()]
    element = {
        "type": "static_select",
        "action_id": name,
        "options": shown,
        "initial_option": shown[0],
    }
    return _input(name, label, element, optional=False)


def _text(
    name: str, label: str, hint: str, most: int, *, optional: bool = True, multiline: bool = False
) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": name,
        "max_length": most,
        "multiline": multiline,
    }
    if hint:
        element["placeholder"] = {"type": "plain_text", "text": hint}
    return _input(name, label, element, optional=optional)


def _expose() -> Block:
    text = "Give the variable to the tools of agents"
    hint = (
        "Whoever can steer such an agent can then use the value, and could make the agent tell it."
    )
    element = {"type": "checkboxes", "action_id": _EXPOSE, "options": [_option(text, _EXPOSE)]}
    return _input(_EXPOSE, "Tools", element, optional=True) | {
        "hint": {"type": "plain_text", "text": hint}
    }


def _option(text: str, value: str) -> Block:
    return {"text": {"type": "plain_text", "text": text}, "value": value}


def _input(name: str, label: str, element: Block, *, optional: bool) -> Block:
    return {
        "type": "input",
        "block_id": name,
        "optional": optional,
        "label": {"type": "plain_text", "text": label},
        "element": element,
    }
