"""Answers that go wrong, by name: `fault/<name>` as the model, or planned for the next calls."""

from typing import Any

Json = dict[str, Any]

STATUS_FAULTS: dict[str, tuple[int, Json]] = {
    "400": (400, {"code": 400, "message": "This request is not valid"}),
    "401": (401, {"code": 401, "message": "No auth credentials found"}),
    "402": (402, {"code": 402, "message": "Insufficient credits"}),
    "403": (
        403,
        {
            "code": 403,
            "message": "flagged",
            "metadata": {"reasons": ["violence"], "flagged_input": "…", "provider_name": "Example"},
        },
    ),
    "408": (408, {"code": 408, "message": "Request timed out"}),
    "429": (
        429,
        {
            "code": 429,
            "message": "Provider returned error",
            "metadata": {"provider_name": "Example", "raw": "temporarily rate-limited upstream"},
        },
    ),
    "404": (404, {"code": 404, "message": "No endpoints found for this model"}),
    "413": (413, {"code": 413, "message": "Request too large"}),
    "500": (500, {"code": 500, "message": "Internal Server Error"}),
    "502": (
        502,
        {
            "code": 502,
            "message": "Provider returned error",
            "metadata": {"provider_name": "Example", "raw": "overloaded"},
        },
    ),
    "503": (
        503,
        {"code": 503, "message": "No available model provider meets your routing requirements"},
    ),
    "json200": (200, {"code": 500, "message": "Internal Server Error"}),
    "context": (
        400,
        {
            "code": 400,
            "message": "This endpoint's maximum context length is 8192 tokens. However, you "
            "requested about 9000 tokens.",
        },
    ),
}
HTML_PAGE = "<!doctype html><html><body><h1>502 Bad gateway</h1></body></html>"
# The connection breaks off, before the first word, in the middle of one, or within a call.
CUT = frozenset({"cut", "cut-early", "cut-call"})
# It stays open: without a byte, or with comments only, which are no progress.
ENDLESS = frozenset({"hang", "hang-midway", "keepalive"})
STREAM_FAULTS = (
    CUT
    | ENDLESS
    | {
        "nofinish", "nofinish-call", "onlyusage", "empty", "blank", "comments", "notjson",
        "midstream", "midstream-recorded", "midstream-call", "length", "length-silent",
        "length-call", "badarguments", "noarguments", "unknowntool", "sameids", "filtered",
    }
)  # fmt: skip
FAULTS = frozenset(STATUS_FAULTS) | STREAM_FAULTS | {"html200", "html502"}
