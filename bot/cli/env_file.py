"""The file `.env`: the values that a person pastes, and how one is set while the rest stays."""

import re
from dataclasses import dataclass
from pathlib import Path

from bot.files import replace_private_file

_PLAIN = re.compile(r"[A-Za-z0-9._~+/=:@,-]*")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class EnvField:
    """One value that a person pastes; `prefix` is empty where a value may begin with anything."""

    name: str
    title: str
    source: str
    prefix: str = ""
    required: bool = True


BOT = EnvField(
    "SLACK_BOT_TOKEN",
    "Bot User OAuth Token",
    'the app\'s page "OAuth & Permissions", after "Install to Workspace"',
    "xoxb-",
)
APP = EnvField(
    "SLACK_APP_TOKEN",
    "App-Level Token",
    'the app\'s page "Basic Information" > "App-Level Tokens", scope connections:write',
    "xapp-",
)
MODEL = EnvField(
    "OPENROUTER_API_KEY", "model key", "openrouter.ai > Keys, or any key of your provider"
)
GIT = EnvField(
    "GITHUB_TOKEN",
    "Git token",
    "GitHub > Settings > Developer settings: Contents and Pull requests, read and write",
    required=False,
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


def find_mistake(field: EnvField, value: str) -> str:
    """Tells by its form what is wrong with a value for this field; "" when it may be right."""
    if not _PRINTABLE.fullmatch(value) or len(value) > _MOST_CHARS:
        return "That is no token: it holds spaces or other characters. Copy it again."
    expected = f"Here goes the {field.title} ({field.prefix}…)." if field.prefix else ""
    expected = expected or f"Here goes the {field.title}."
    for prefix, kind, home in _KINDS:
        if value.startswith(prefix) and home != field.name:
            belongs = f"; it belongs in {home}" if home else ""
            return f"That is {kind}{belongs}. {expected} From: {field.source}."
    if field in (BOT, APP) and _HEX.fullmatch(value):
        return f"That looks like the app's Signing Secret or Client Secret. {expected}"
    if not value.startswith(field.prefix):
        return f"That does not begin with {field.prefix}. {expected} From: {field.source}."
    return ""


class EnvFile:
    """Sets values in a file that only its owner reads, whole or not at all. Raises OSError."""

    def __init__(self, path: Path) -> None:
        # A link stays a link: what it points to is replaced.
        self.path = path.resolve()

    def put(self, name: str, value: str) -> None:
        """Sets a value where it stands, or its commented example does, or at the end.

        Raises ValueError for what a line of the file cannot hold as it is.
        """
        if not _NAME.fullmatch(name) or not _PLAIN.fullmatch(value):
            raise ValueError(f"{name}: the value holds spaces or other characters")
        lines = _with(self._read(), name, value)
        replace_private_file(self.path, ("\n".join(lines) + "\n").encode())

    def _read(self) -> list[str]:
        try:
            return self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []


def _with(lines: list[str], name: str, value: str) -> list[str]:
    """Sets the last line with the name, because that one counts, and drops the others."""
    mine = re.compile(rf"\s*(?:export\s+)?{name}\s*=")
    example = re.compile(rf"\s*#\s*{name}\s*=")
    set_at = [index for index, line in enumerate(lines) if mine.match(line)]
    shown_at = [index for index, line in enumerate(lines) if example.match(line)]
    place = (set_at or shown_at or [len(lines)])[-1]
    kept = [line for index, line in enumerate(lines) if index not in {*set_at, place}]
    place -= sum(index < place for index in set_at)
    return [*kept[:place], f"{name}={value}", *kept[place:]]
