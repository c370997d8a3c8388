"""Connects the egress proxy to a destination: its name is looked up once, what it says checked."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.domain.egress import DenialReason
from bot.gateway.egress.addresses import Addresses
from bot.gateway.egress.allow_list import AllowList
from bot.gateway.egress.request import ProxyRequest
from bot.gateway.egress.upstream_proxy import UpstreamProxies, UpstreamProxy

PORTS = frozenset({80, 443})
LOOK_UP_SECONDS = 5.0
DIAL_SECONDS = 10.0
_MAX_ADDRESSES = 8
_MAX_PROXY_ANSWER_BYTES = 16_384


class DeniedError(Exception):
    """The destination is refused, and why."""

    def __init__(self, reason: DenialReason) -> None:
        super().__init__(reason)
        self.reason = reason


class AwayError(Exception):
    """The destination is allowed and does not answer."""


class Resolver(Protocol):
    """Turns a name into addresses."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return literal addresses, the one to try first in front; raises OSError."""


class SystemResolver:
    """Asks as every other program on this machine does."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return what getaddrinfo says; raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True)
class Line:
    """An open connection. `proxy`: it leads to this machine's own proxy, not to the destination."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    proxy: UpstreamProxy | None = None


class Connector:
    """Knows where tools may go."""

    def __init__(
        self,
        allowed: AllowList,
        addresses: Addresses,
        resolver: Resolver,
        proxies: UpstreamProxies,
        ports: frozenset[int] = PORTS,
    ) -> None:
        self._allowed = allowed
        self._addresses = addresses
        self._resolver = resolver
        self._proxies = proxies
        self._ports = ports

    async def dial(self, request: ProxyRequest) -> Line:
        """Connect; raises DeniedError or AwayError."""
        if not self._allowed.allows(request.host):
            raise DeniedError(DenialReason.NOT_ON_LIST)
        if request.port not in self._ports:
            raise DeniedError(DenialReason.PORT)
        proxy = self._proxies.on_the_way_to(request.host, request.port, tunnel=request.tunnel)
        try:
            found = await self._found(request.host, request.port)
        except OSError as error:
            # Behind a proxy, it may be the only one that knows the names outside.
            if proxy is None:
                raise AwayError(f"{request.host} is not found.") from error
            found = []
        open_ones = [one for one in found if self._addresses.allows(one)]
        if found and not open_ones:
            raise DeniedError(DenialReason.PRIVATE_ADDRESS)
        if proxy is not None:
            return await _by_proxy(proxy, request)
        reader, writer = await _first_of(open_ones[:_MAX_ADDRESSES], request)
        return Line(reader, writer)

    async def _found(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return list(dict.fromkeys(await self._resolver.addresses(host, port)))
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
    raise AwayError(f"{request.authority} does not answer.")


async def _by_proxy(proxy: UpstreamProxy, request: ProxyRequest) -> Line:
    """Connect through this machine's proxy; for a tunnel it is asked to connect on."""
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
                    said = b"".join(status)[:3].decode("ascii", "replace")
                    raise AwayError(f"This machine's own proxy refused {request.host}: {said}.")
        is_open = True
        return Line(reader, writer, proxy)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise AwayError("This machine's own proxy does not answer.") from error
    finally:
        if writer and not is_open:
            writer.transport.abort()


def _connect(authority: str) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode()
