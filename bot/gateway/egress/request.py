"""Reads the head of a request to the egress proxy, and refuses one that is ambiguous."""

import ipaddress
import re
from dataclasses import dataclass

MAX_PROXY_HEAD_BYTES = 16_384
_MAX_HEADERS = 100
_HTTP_PORT = 80

_LINE = re.compile(rb"([A-Z]{1,20}) ([\x21-\x7e]{1,8192}) HTTP/1\.[01]")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}):([\x20-\x7e\x80-\xff\t]*)")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::([0-9]{1,5}))?")
_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}))*")
_MAX_NAME_CHARS = 253
_MAX_PORT = 65_535
_LENGTH = re.compile(rb"[0-9]{1,15}")
# For one connection each; the proxy speaks for itself.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"proxy-connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"te",
        b"trailer",
        b"upgrade",
        b"http2-settings",
        b"host",
    }
)


class MalformedError(Exception):
    """The proxy does not serve this request; `status` and the text are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """A request to connect somewhere: by CONNECT (`tunnel`), or for one plain HTTP request."""

    host: str
    port: int
    tunnel: bool
    method: bytes = b""
    path: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body_bytes: int = 0

    @property
    def authority(self) -> str:
        """Returns host and port in the form of a target of CONNECT."""
        return f"{_bracketed(self.host)}:{self.port}"

    def head(self, *, absolute: bool = False, extra: bytes = b"") -> bytes:
        """Writes the plain request anew; `absolute` and with `extra` headers for a proxy."""
        host = _bracketed(self.host) + ("" if self.port == _HTTP_PORT else f":{self.port}")
        target = (b"http://" + host.encode() if absolute else b"") + self.path
        lines = [self.method + b" " + target + b" HTTP/1.1", b"Host: " + host.encode()]
        lines += [name + b": " + value for name, value in self.headers]
        return b"\r\n".join([*lines, b"Connection: close"]) + b"\r\n" + extra + b"\r\n"


def read_request(head: bytes) -> ProxyRequest:
    """Reads a head, its empty line included; raises MalformedError."""
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    match = _LINE.fullmatch(lines[0])
    if not match:
        raise MalformedError(400, "This is a proxy for HTTP/1.1.")
    method, target = match.groups()
    headers = _headers(lines[1:])
    body_bytes = _body_bytes(headers)
    if method == b"CONNECT":
        if body_bytes:
            raise MalformedError(400, "CONNECT has no body.")
        host, port = _authority(target.decode(), None)
        return ProxyRequest(host, port, tunnel=True)
    host, port, path = _absolute(target.decode())
    forwarded = tuple(_end_to_end(headers))
    return ProxyRequest(host, port, False, method, path.encode(), forwarded, body_bytes)


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    if len(lines) > _MAX_HEADERS:
        raise MalformedError(431, "Too many headers.")
    headers = []
    for line in lines:
        match = _HEADER.fullmatch(line)
        if not match:
            raise MalformedError(400, "A header is malformed.")
        headers.append((match[1], match[2].strip(b" \t")))
    if sum(name.lower() == b"host" for name, _ in headers) > 1:
        raise MalformedError(400, "There is more than one Host header.")
    return headers


def _body_bytes(headers: list[tuple[bytes, bytes]]) -> int:
    if any(name.lower() == b"transfer-encoding" for name, _ in headers):
        raise MalformedError(411, "A body needs a Content-Length here.")
    lengths = [value for name, value in headers if name.lower() == b"content-length"]
    if len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        raise MalformedError(400, "Content-Length is malformed.")
    return int(lengths[0]) if lengths else 0


def _end_to_end(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    named = {
        word.strip().lower()
        for name, value in headers
        if name.lower() in {b"connection", b"proxy-connection"}
        for word in value.split(b",")
    } - {b"content-length"}
    return [header for header in headers if header[0].lower() not in _HOP_BY_HOP | named]


def _absolute(target: str) -> tuple[str, int, str]:
    scheme, separator, location = target.partition("://")
    if not separator or scheme.lower() != "http":
        raise MalformedError(
            400, "This is a proxy: ask for http://host/path, or CONNECT host:443 for TLS."
        )
    cut = min((location.index(sign) for sign in "/?#" if sign in location), default=len(location))
    host, port = _authority(location[:cut], _HTTP_PORT)
    path = location[cut:]
    if "#" in path:
        raise MalformedError(400, "A fragment does not belong in a request.")
    return host, port, path if path.startswith("/") else f"/{path}"


def _authority(text: str, default_port: int | None) -> tuple[str, int]:
    match = _AUTHORITY.fullmatch(text)
    port = (match and match[2]) or default_port
    if not match or port is None or not 0 < int(port) <= _MAX_PORT:
        raise MalformedError(400, "The destination is malformed.")
    return _host(match[1]), int(port)


def _host(text: str) -> str:
    """Returns the host in its canonical form, so that no spelling passes by a list."""
    if text.startswith("["):
        try:
            return ipaddress.IPv6Address(text[1:-1]).compressed
        except ValueError:
            raise MalformedError(400, "The destination is malformed.") from None
    name = text.lower().removesuffix(".")
    if len(name) > _MAX_NAME_CHARS or not _NAME.fullmatch(name):
        raise MalformedError(400, "The destination is malformed.")
    return name


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
