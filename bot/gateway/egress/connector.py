"""Connects the egress proxy to a destination, directly or through this machine's own proxy.

A name is resolved once, and the address that is checked is the address that is connected to.
"""

import asyncio
import base64
import socket
import urllib.request
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from bot.domain.egress import DenialReason
from bot.errors import ConfigurationError
from bot.gateway.egress.allow_list import AddressList, AllowList
from bot.gateway.egress.request import ProxyRequest

PORTS = frozenset({80, 443})
LOOK_UP_SECONDS = 5.0
DIAL_SECONDS = 10.0
_MAX_ADDRESSES = 8
_MAX_PROXY_ANSWER_BYTES = 16_384

# Turns a name and a port into literal addresses; raises OSError.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class DeniedError(Exception):
    """The destination is refused for `reason`."""

    def __init__(self, reason: DenialReason) -> None:
        super().__init__(reason)
        self.reason = reason


class DestinationUnreachableError(Exception):
    """The destination is allowed and does not answer."""


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """Names the proxy to connect to, and the header that it may require."""

    host: str
    port: int
    tls: bool
    authorization: bytes = b""

    @classmethod
    def read(cls, url: str) -> Self:
        """Reads `http://name:password@host:port`; raises ConfigurationError."""
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
    """Chooses among a proxy for TLS, one for plain HTTP, and no proxy for excepted names."""

    def __init__(self, proxies: Mapping[str, str]) -> None:
        self._proxies = dict(proxies)
        self._read = {
            scheme: UpstreamProxy.read(url)
            for scheme, url in proxies.items()
            if scheme in {"http", "https"} and url
        }

    @classmethod
    def of_environment(cls) -> Self:
        """Reads the environment of this process; raises ConfigurationError."""
        return cls(urllib.request.getproxies_environment())

    def proxy_for(self, host: str, port: int, *, tunnel: bool) -> UpstreamProxy | None:
        """Returns the proxy for this destination; None for a direct connection."""
        proxy = self._read.get("https" if tunnel else "http")
        name = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if proxy and urllib.request.proxy_bypass_environment(name, self._proxies):  # type: ignore[attr-defined]  # not in the stubs
            return None
        return proxy


async def resolve(host: str, port: int) -> Sequence[str]:
    """Returns the addresses from getaddrinfo, the one to try first in front; raises OSError."""
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


@dataclass(frozen=True, slots=True)
class EgressConnection:
    """An open connection; with `proxy` it leads to this machine's own proxy."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    proxy: UpstreamProxy | None = None


class Connector:
    """Connects to the destinations that the lists and `ports` allow."""

    def __init__(
        self,
        allowed: AllowList,
        addresses: AddressList,
        resolve_name: Resolve,
        proxies: UpstreamProxies,
        ports: frozenset[int] = PORTS,
    ) -> None:
        self._allowed = allowed
        self._addresses = addresses
        self._resolve = resolve_name
        self._proxies = proxies
        self._ports = ports

    async def connect(self, request: ProxyRequest) -> EgressConnection:
        """Opens a connection; raises DeniedError or DestinationUnreachableError."""
        if not self._allowed.allows(request.host):
            raise DeniedError(DenialReason.NOT_ON_LIST)
        if request.port not in self._ports:
            raise DeniedError(DenialReason.PORT)
        proxy = self._proxies.proxy_for(request.host, request.port, tunnel=request.tunnel)
        try:
            addresses = await self._addresses_of(request.host, request.port)
        except OSError as error:
            # Behind a proxy, it may be the only one that knows the names outside.
            if proxy is None:
                raise DestinationUnreachableError(f"{request.host} is not found.") from error
            addresses = []
        allowed = [address for address in addresses if self._addresses.allows(address)]
        if addresses and not allowed:
            raise DeniedError(DenialReason.PRIVATE_ADDRESS)
        if proxy is not None:
            return await _by_proxy(proxy, request)
        reader, writer = await _first_of(allowed[:_MAX_ADDRESSES], request)
        return EgressConnection(reader, writer)

    async def _addresses_of(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return list(dict.fromkeys(await self._resolve(host, port)))
        except UnicodeError as error:
            raise OSError("not a name") from error


async def _first_of(
    addresses: Sequence[str], request: ProxyRequest
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    end = loop.time() + DIAL_SECONDS
    for position, address in enumerate(addresses):
        # An address that swallows packets leaves time for those behind it.
        share = (end - loop.time()) / (len(addresses) - position)
        try:
            async with asyncio.timeout(share):
                return await asyncio.open_connection(address, request.port)
        except OSError:
            continue
    raise DestinationUnreachableError(f"{request.authority} does not answer.")


async def _by_proxy(proxy: UpstreamProxy, request: ProxyRequest) -> EgressConnection:
    """Connects through this machine's proxy; for a tunnel it is asked to connect on."""
    writer: asyncio.StreamWriter | None = None
    is_open = False
    try:
        async with asyncio.timeout(DIAL_SECONDS):
            reader, writer = await asyncio.open_connection(
                proxy.host, proxy.port, ssl=proxy.tls or None, limit=_MAX_PROXY_ANSWER_BYTES
            )
            if request.tunnel:
                writer.write(_connect(request.authority) + proxy.authorization + b"\r\n")
                answer = await reader.readuntil(b"\r\n\r\n")
                status = answer.split(b"\r\n", 1)[0].split(b" ")[1:2]
                if status != [b"200"]:
                    code = b"".join(status)[:3].decode("ascii", "replace")
                    raise DestinationUnreachableError(
                        f"This machine's own proxy refused {request.host}: {code}."
                    )
        is_open = True
        return EgressConnection(reader, writer, proxy)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise DestinationUnreachableError("This machine's own proxy does not answer.") from error
    finally:
        if writer and not is_open:
            writer.transport.abort()


def _connect(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode()
