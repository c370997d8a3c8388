"""Requests that two servers might understand differently: refused before anything is forwarded."""

from aiohttp import web


def oddity(request: web.Request) -> str | None:
    """What is odd about a request's framing or path; None when nothing is."""
    headers = request.headers
    lengths = headers.getall("Content-Length", [])
    codings = headers.getall("Transfer-Encoding", [])
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        return "The length of the body is given twice."
    if codings and codings[0].strip().lower() != "chunked":
        return "This transfer coding is not understood."
    if "Upgrade" in headers:
        return "The protocol cannot be changed here."
    path = request.raw_path.partition("?")[0]
    if "%" in path or "//" in path or "\\" in path or ";" in path or "/." in path:
        return "The path is not written plainly."
    return None
