"""Admits to the playground's server only pages of its own address and programs of this host."""

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def is_loopback(host: str) -> bool:
    """Check whether a host name can only mean this machine; a rebound DNS name cannot."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(host: str | None, origin: str | None, bound_host: str) -> str:
    """Return why a request is refused, or "", by its Host header, and its Origin header if any.

    Browsers send the name that a page was loaded by, so a foreign name means DNS rebinding; they
    send the origin with every write and every WebSocket, so a foreign one means another page.
    """
    try:
        name = urlsplit(f"//{host or ''}").hostname or ""
    except ValueError:
        return "The Host header is no address."
    if not is_loopback(name) and name != bound_host:
        return "The playground answers only to a loopback address."
    if origin is not None and origin != f"http://{host}":
        return "The playground takes nothing from other pages."
    return ""


def guard(bound_host: str) -> Middleware:
    """A middleware that refuses foreign hosts and origins with 403."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        if reason := refusal(headers.get("Host"), headers.get("Origin"), bound_host):
            return web.json_response({"error": reason}, status=403)
        return await handler(request)

    return guarded
