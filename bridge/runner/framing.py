"""Reads and writes frames of bridge and runner: a JSON object and bytes, with their lengths."""

import asyncio
import json
import struct
from typing import Any

MAX_FRAME_HEAD_BYTES = 32 * 1_048_576
MAX_DATA_BYTES = 128 * 1_048_576
_LENGTHS = struct.Struct("!II")

Head = dict[str, Any]


class BadFrameError(Exception):
    """The bytes are no frame; nothing more can be read from their connection."""


def framed(head: Head, data: bytes = b"") -> bytes:
    """Returns the bytes of a frame."""
    body = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((_LENGTHS.pack(len(body), len(data)), body, data))


async def read_frame(reader: asyncio.StreamReader) -> tuple[Head, bytes] | None:
    """Reads the next frame, None at the end. Raises BadFrameError for anything else."""
    try:
        head_bytes, data_bytes = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        if head_bytes > MAX_FRAME_HEAD_BYTES or data_bytes > MAX_DATA_BYTES:
            raise BadFrameError("a frame is too large")
        body = await reader.readexactly(head_bytes)
        data = await reader.readexactly(data_bytes) if data_bytes else b""
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    try:
        head = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadFrameError("a frame is no JSON") from error
    if not isinstance(head, dict):
        raise BadFrameError("a frame is no object")
    return head, data
