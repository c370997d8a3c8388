"""What the egress proxy reads, and what it refuses to interpret."""

import pytest
from hypothesis import given, strategies as st

from bot.gateway.egress.request import MalformedError, ProxyRequest, read_request


def read(*lines: str) -> ProxyRequest:
    return read_request("\r\n".join([*lines, "", ""]).encode("latin-1"))


def test_a_tunnel_names_its_host_in_one_form() -> None:
    assert read("CONNECT PyPI.org.:443 HTTP/1.1").authority == "pypi.org:443"
    assert read("CONNECT [0:0::1]:443 HTTP/1.1", "Host: other").authority == "[::1]:443"


def test_a_plain_request_is_written_anew() -> None:
    request = read(
        "GET http://a.test:8080/x?y=1 HTTP/1.0",
        "Host: evil.test",
        "Proxy-Authorization: Basic secret",
        "Connection: keep-alive, X-Odd",
        "X-Odd: 1",
        "Upgrade: h2c",
        "Accept: */*",
    )
    assert request.head() == (
        b"GET /x?y=1 HTTP/1.1\r\nHost: a.test:8080\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    assert read("GET http://a.test HTTP/1.1").head().startswith(b"GET / HTTP/1.1\r\nHost: a.test\r")
    assert read("GET http://a.test?q HTTP/1.1").path == b"/?q"


@pytest.mark.parametrize(
    "lines",
    [
        ("GET / HTTP/1.1", "Host: a.test"),
        ("GET https://a.test/ HTTP/1.1",),
        ("GET ftp://a.test/ HTTP/1.1",),
        ("GET http://user:word@a.test/ HTTP/1.1",),
        ("GET http://a.test@evil.test/ HTTP/1.1",),
        ("GET http://a.test\\@evil.test/ HTTP/1.1",),
        ("GET http://a.test/#x HTTP/1.1",),
        ("GET http://a.test:0/ HTTP/1.1",),
        ("GET http://a.test:65536/ HTTP/1.1",),
        ("GET http://a.test:x/ HTTP/1.1",),
        ("GET http:///x HTTP/1.1",),
        ("GET http://[::1%eth0]/ HTTP/1.1",),
        ("GET http://[1.2.3.4]/ HTTP/1.1",),
        ("GET http://a..test/ HTTP/1.1",),
        ("GET http://ä.test/ HTTP/1.1",),
        ("GET http://a.test/ HTTP/2.0",),
        ("GET  http://a.test/ HTTP/1.1",),
        ("get http://a.test/ HTTP/1.1",),
        ("CONNECT a.test HTTP/1.1",),
        ("CONNECT a.test:443/x HTTP/1.1",),
        ("CONNECT http://a.test:443 HTTP/1.1",),
        ("CONNECT a.test:443 HTTP/1.1", "Content-Length: 5"),
        ("PRI * HTTP/2.0",),
        ("GET http://a.test/ HTTP/1.1", "Host : a.test"),
        ("GET http://a.test/ HTTP/1.1", " folded: x"),
        ("GET http://a.test/ HTTP/1.1", "X: a\nY: b"),
        ("GET http://a.test/ HTTP/1.1", "X: a\rY: b"),
        ("GET http://a.test/ HTTP/1.1", "X: a\0b"),
        ("GET http://a.test/ HTTP/1.1", "no colon"),
        ("GET http://a.test/ HTTP/1.1", "Host: a.test", "Host: b.test"),
        ("POST http://a.test/ HTTP/1.1", "Content-Length: 1", "Content-Length: 2"),
        ("POST http://a.test/ HTTP/1.1", "Content-Length: +1"),
        ("POST http://a.test/ HTTP/1.1", "Content-Length: 1, 1"),
        ("POST http://a.test/ HTTP/1.1", "Transfer-Encoding: chunked"),
        ("POST http://a.test/ HTTP/1.1", "Content-Length: 1", "transfer-encoding: \tchunked"),
        ("GET http://a.test/ HTTP/1.1", *(f"X-{n}: 1" for n in range(101))),
        (f"GET http://{'a' * 64}.test/ HTTP/1.1",),
        (f"GET http://{'a.' * 130}test/ HTTP/1.1",),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(MalformedError):
        read(*lines)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for head in (data, b"CONNECT " + data + b" HTTP/1.1\r\n\r\n", b"GET http://" + data):
        try:
            request = read_request(head)
        except MalformedError:
            continue
        assert request.host == request.host.lower().strip(".")
        assert b"\r\n\r\n" not in request.head()[:-4]
