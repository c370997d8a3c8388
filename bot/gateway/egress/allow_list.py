"""The host names that tools may reach: package registries, and what an admin adds."""

from collections.abc import Iterable
from typing import Self
from urllib.parse import urlsplit

from bot.config import Settings

# Where package managers look when nobody has told them otherwise.
REGISTRIES = (
    "pypi.org", "files.pythonhosted.org",
    "registry.npmjs.org", "registry.yarnpkg.com", "nodejs.org",
    "index.crates.io", "static.crates.io", "crates.io", "static.rust-lang.org",
    "proxy.golang.org", "sum.golang.org",
    "rubygems.org", "index.rubygems.org",
    "repo.maven.apache.org", "repo1.maven.org", "plugins.gradle.org", "services.gradle.org",
    "api.nuget.org", "repo.packagist.org", "packagist.org", "hex.pm", "repo.hex.pm",
    "deb.debian.org", "security.debian.org", "archive.ubuntu.com", "security.ubuntu.com",
)  # fmt: skip


class AllowList:
    """`example.com` is that name alone, `*.example.com` all names below it, `*` every name."""

    def __init__(self, patterns: Iterable[str]) -> None:
        lowered = {pattern.lower().rstrip(".") for pattern in patterns}
        self._everything = "*" in lowered
        self._below = tuple(one[1:] for one in lowered if one.startswith("*."))
        self._exact = frozenset(lowered)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The list that the settings make."""
        known = REGISTRIES if settings.egress_registries else ()
        return cls((*known, *_host_of(settings), *settings.egress_allow))

    def allows(self, host: str) -> bool:
        """Whether this name (in lower case, without a last dot), or literal address, is listed."""
        return self._everything or host in self._exact or host.endswith(self._below)


def _host_of(settings: Settings) -> tuple[str, ...]:
    """The repositories' host: dependencies are named by its addresses too."""
    host = urlsplit(settings.github_url).hostname if settings.egress_registries else None
    return (host,) if host else ()
