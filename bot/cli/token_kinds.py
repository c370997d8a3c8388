"""Tells by its looks what kind of token somebody has pasted, and where it belongs. Pure."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Field:
    """One value of the settings that a person pastes; `begins` is empty where any may do."""

    name: str
    title: str
    where: str
    begins: str = ""
    needed: bool = True


BOT = Field(
    "SLACK_BOT_TOKEN",
    "Bot User OAuth Token",
    'the app\'s page "OAuth & Permissions", after "Install to Workspace"',
    "xoxb-",
)
APP = Field(
    "SLACK_APP_TOKEN",
    "App-Level Token",
    'the app\'s page "Basic Information" > "App-Level Tokens", scope connections:write',
    "xapp-",
)
MODEL = Field(
    "OPENROUTER_API_KEY", "model key", "openrouter.ai > Keys, or any key of your provider"
)
GIT = Field(
    "GITHUB_TOKEN",
    "Git token",
    "GitHub > Settings > Developer settings: Contents and Pull requests, read and write",
    needed=False,
)
FIELDS = (BOT, APP, MODEL, GIT)

_KINDS = (
    ("xoxb-", "a bot token of Slack", BOT.name),
    ("xapp-", "an app-level token of Slack", APP.name),
    ("xoxp-", "a user's token of Slack, which nothing here takes", ""),
    ("xoxe", "a configuration token of Slack, which nothing here takes", ""),
    ("sk-or-", "a key of OpenRouter", MODEL.name),
    ("sk-", "a model provider's key", MODEL.name),
    ("ghp_", "a token of GitHub", GIT.name),
    ("gho_", "a token of GitHub", GIT.name),
    ("github_pat_", "a token of GitHub", GIT.name),
    ("glpat-", "a token of GitLab", GIT.name),
)
_HEX = re.compile(r"[0-9a-f]{32}")
_PRINTABLE = re.compile(r"[!-~]+")
_MOST_CHARS = 4_000


def mistake(field: Field, value: str) -> str:
    """What is wrong with a value in this field, with the next step; "" when it may be right."""
    if not _PRINTABLE.fullmatch(value) or len(value) > _MOST_CHARS:
        return "That is no token: it holds spaces or other characters. Copy it again."
    wanted = f"Here goes the {field.title} ({field.begins}…)." if field.begins else ""
    wanted = wanted or f"Here goes the {field.title}."
    for begins, kind, home in _KINDS:
        if value.startswith(begins) and home != field.name:
            belongs = f"; it belongs in {home}" if home else ""
            return f"That is {kind}{belongs}. {wanted} From: {field.where}."
    if field in (BOT, APP) and _HEX.fullmatch(value):
        return f"That looks like the app's Signing Secret or Client Secret. {wanted}"
    if not value.startswith(field.begins):
        return f"That does not begin with {field.begins}. {wanted} From: {field.where}."
    return ""
