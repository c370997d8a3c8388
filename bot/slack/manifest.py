"""Reads the manifest of the Slack app, which lies beside the code."""

from pathlib import Path
from urllib.parse import quote

import yaml

PATH = Path(__file__).parents[2] / "manifest.yml"
_NEW_APP = "https://api.slack.com/apps?new_app=1&manifest_yaml="


def text(path: Path = PATH) -> str | None:
    """Returns the manifest; None where the code was installed without it."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def scopes(path: Path = PATH) -> frozenset[str] | None:
    """Returns the scopes of the bot's token; None without a manifest that names them."""
    try:
        manifest = yaml.safe_load(text(path) or "")
        return frozenset(str(scope) for scope in manifest["oauth_config"]["scopes"]["bot"])
    except (yaml.YAMLError, KeyError, TypeError):
        return None


def new_app_link(manifest: str) -> str:
    """Returns the link by which Slack makes an app of a manifest, its comments left out."""
    lines = [line.partition(" #")[0].rstrip() for line in manifest.splitlines()]
    kept = [line for line in lines if line and not line.lstrip().startswith("#")]
    return _NEW_APP + quote("\n".join(kept) + "\n", safe="")
