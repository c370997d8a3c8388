"""Puts files that people attached into the workspace, where they are no part of the changes."""

import re

from bridge.errors import BridgeError, ToolError
from bridge.protocol import Attached, ErrorCode
from bridge.workspace.filesystem import TEMPORARY_PREFIX, Workspace

# Git leaves names with this beginning out of everything; clone.py sees to it.
FOLDER = f"{TEMPORARY_PREFIX}attachments"
MAX_FOLDER_BYTES = 64 * 1_048_576
MAX_ATTACHED_FILES = 200
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}")


def put_file(workspace: Workspace, name: str, data: bytes) -> Attached:
    """Puts a file beside the others; the same name replaces it. Raises BridgeError; blocks."""
    if not _NAME.fullmatch(name):
        raise BridgeError(
            ErrorCode.INVALID_REQUEST,
            "A name is 1 to 120 letters, digits, dots, dashes and underscores, and begins with no "
            "dot.",
        )
    _check_room(workspace, name, len(data))
    path = f"{FOLDER}/{name}"
    try:
        workspace.write_bytes(path, data)
    except ToolError as error:
        raise BridgeError(ErrorCode.NO_SPACE, str(error)) from error
    return Attached(path=path, size_bytes=len(data))


def _check_room(workspace: Workspace, name: str, size: int) -> None:
    try:
        others = [entry for entry in workspace.entries(FOLDER) if entry.name != name]
    except ToolError:
        others = []  # there is no such folder yet, or writing into it says what is wrong
    held = sum(entry.size_bytes or 0 for entry in others)
    if len(others) >= MAX_ATTACHED_FILES or held + size > MAX_FOLDER_BYTES:
        raise BridgeError(
            ErrorCode.NO_SPACE,
            f"{len(others)} files of {held:,} bytes are attached; more than {MAX_ATTACHED_FILES} "
            f"files or {MAX_FOLDER_BYTES:,} bytes are not kept.",
        )
