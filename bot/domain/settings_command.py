"""Reads `/agent set …` and `/agent me …`, the settings of a channel and of oneself."""

import re
from dataclasses import dataclass

from bot.domain.agent import RepoRef
from bot.domain.quoting import code
from bot.domain.verbosity import Verbosity
from bot.errors import InvalidCommand
from bridge.protocol import (
    MAX_MODEL_CHARS,
    Approvals,
)

_WHO = ("start", "steer", "stop", "approve")
_DEFAULT = frozenset({"default", "none", "-"})


@dataclass(frozen=True, slots=True)
class SetRule:
    """`set name value`, for the channel; `name` is "" to look only, `value` to forget it."""

    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class SetMine:
    """`me name value`, for oneself; `name` is "" to look only, `value` to forget it."""

    name: str = ""
    value: str = ""


def parse_rule(words: list[str]) -> SetRule:
    """Reads the words after `set`; raises InvalidCommand."""
    if not words:
        return SetRule()
    name, value = words[0].lower(), " ".join(words[1:])
    if name in _WHO and value.lower() in {"anyone", "owner"}:
        return SetRule(name, value.lower())
    if name == "approvals" and value.lower() in set(Approvals):
        return SetRule(name, value.lower())
    if name == "repositories" and value:
        return SetRule(name, "" if value.lower() == "any" else value)
    if name == "verbosity" and value.lower() in set(Verbosity):
        return SetRule(name, value.lower())
    if name in {"repo", "model"} and value:
        return SetRule(name, _default_of(name, value))
    raise InvalidCommand(
        "Write `/agent set start|steer|stop|approve anyone|owner`, "
        "`/agent set approvals ask|refuse`, "
        "`/agent set repositories owner/name owner/*` (`any` allows all), "
        "`/agent set repo owner/name`, `/agent set model NAME` (`none` forgets it), or "
        "`/agent set verbosity quiet|normal|verbose`."
    )


def parse_mine(words: list[str]) -> SetMine:
    """Reads the words after `me`; raises InvalidCommand."""
    if not words:
        return SetMine()
    name, value = words[0].lower(), " ".join(words[1:])
    if name in {"repo", "model"} and value:
        return SetMine(name, _default_of(name, value))
    raise InvalidCommand(
        "Write `/agent me repo owner/name` or `/agent me model NAME`; `none` forgets it. "
        "`/agent me` shows what is set."
    )


def checked_model(model: str) -> str:
    """Returns the model's name; raises InvalidCommand when it cannot be one."""
    if len(model) > MAX_MODEL_CHARS or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*", model):
        raise InvalidCommand(
            f"{code(model, 60)} is not a model's name. For example `anthropic/claude-3.5-sonnet`."
        )
    return model


def _default_of(name: str, value: str) -> str:
    if value.lower() in _DEFAULT:
        return ""
    return str(RepoRef.parse(value)) if name == "repo" else checked_model(value)
