"""The proxy that this machine itself goes through, as the variables of the environment say."""

import base64
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from bot.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """Where to connect instead, and the header that it may want to see."""

    host: str
    port: int
    tls: bool
    authorization: bytes = b""

    @classmethod
    def read(cls, url: str) -> Self:
        """Read `http://name:password@host:port`; raises ConfigurationError."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            port = 0
        if parts.scheme not in {"http", "https"} or not parts.hostname or not port:
            raise ConfigurationError(
                "HTTP_PROXY or HTTPS_PROXY of the bot's environment is no http(s) address. Write "
                "it as http://host:port."
            )
        header = b""
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            header = b"Proxy-Authorization: Basic " + base64.b64encode(pair) + b"\r\n"
        return cls(parts.hostname, port, parts.scheme == "https", header)


class UpstreamProxies:
    """One for TLS, one for plain HTTP, and the names that go without."""

    def __init__(self, proxies: Mapping[str, str]) -> None:
        self._proxies = dict(proxies)
        self._read = {
            scheme: UpstreamProxy.read(url)
            for scheme, url in proxies.items()
            if scheme in {"http", "https"} and url
        }

    @classmethod
    def of_environment(cls) -> Self:
        """As the environment of this process says; raises ConfigurationError."""
        return cls(urllib.request.getproxies_environment())

    def on_the_way_to(self, host: str, port: int, *, tunnel: bool) -> UpstreamProxy | None:
        """The proxy for this destination; None: straight."""
        found = self._read.get("https" if tunnel else "http")
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if found and urllib.request.proxy_bypass_environment(name, self._proxies):  # type: ignore[attr-defined]  # not in the stubs
            return None
        return found
