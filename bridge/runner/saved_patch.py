"""Puts the changes of an earlier container into a checkout: all of them, or none.

A patch lies in a file beside the event log until it is in the checkout, so that what a kill cuts
short is done again. The file is called `waiting` while the checkout is untouched and `applying`
once it may not be.
"""

import asyncio
import errno
import hashlib
import logging
import os
from pathlib import Path

from bridge.errors import BridgeError, WorkspaceError
from bridge.protocol import ErrorCode
from bridge.runner import operations
from bridge.runner.operations import Runner

_log = logging.getLogger(__name__)


class SavedPatch:
    """Stores the one patch that is still to get into the checkout, and applies it."""

    def __init__(self, directory: Path, runner: Runner) -> None:
        self._waiting = directory / "patch.waiting"
        self._applying = directory / "patch.applying"
        self._runner = runner

    @property
    def exists(self) -> bool:
        """Tells whether there is one."""
        return self._waiting.exists() or self._applying.exists()

    async def store(self, data: bytes) -> None:
        """Stores a patch, in place of one that waits already; raises BridgeError."""
        try:
            await asyncio.to_thread(_store, self._waiting, data)
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            code = ErrorCode.NO_SPACE if is_full else ErrorCode.INTERNAL
            raise BridgeError(code, f"The patch cannot be kept: {error.strerror}.") from error

    def drop(self) -> None:
        """Forgets the patch, if there is one."""
        self._waiting.unlink(missing_ok=True)
        self._applying.unlink(missing_ok=True)

    async def read_waiting(self) -> bytes:
        """Returns the patch that belongs into a checkout that is still to be made; empty: none."""
        if not self._waiting.exists():
            return b""
        return await asyncio.to_thread(self._waiting.read_bytes)

    async def apply(self) -> None:
        """Applies the patch to the checkout in use, if there is one, and forgets it.

        Raises WorkspaceError when it does not fit, or would join changes that are there already;
        the checkout is as it was then.
        """
        if self._applying.exists():
            if not await self._is_applied(self._applying):
                await operations.reset_checkout(self._runner)
                await self._apply_file()
        elif self._waiting.exists() and not await self._is_applied(self._waiting):
            if await operations.is_changed(self._runner):
                raise WorkspaceError(
                    ErrorCode.WORKSPACE_CONFLICT,
                    "The workspace has changes of its own; a patch goes onto a fresh one only.",
                )
            self._waiting.rename(self._applying)
            await self._apply_file()
        self.drop()

    async def apply_now(self, data: bytes) -> None:
        """Stores this patch and applies it, all or nothing, and forgets it. Raises BridgeError."""
        await self.store(data)
        try:
            await self.apply()
        except WorkspaceError:
            self.drop()
            raise

    async def finish(self) -> None:
        """Completes what a kill cut short; its sender was told nothing, so a failure is logged."""
        try:
            await self.apply()
        except WorkspaceError as error:
            _log.warning("a patch was given up: %s", error.message)
            self.drop()

    async def is_applied(self, data: bytes) -> bool:
        """Tells whether exactly this patch was put into the checkout before."""
        digest = await operations.read_applied_digest(self._runner)
        return digest == hashlib.sha256(data).hexdigest()

    async def _is_applied(self, file: Path) -> bool:
        return await self.is_applied(await asyncio.to_thread(file.read_bytes))

    async def _apply_file(self) -> None:
        try:
            data = await asyncio.to_thread(self._applying.read_bytes)
            await operations.apply_patch(self._runner, data)
        except BaseException:
            await operations.reset_checkout(self._runner)  # a full disk may have stopped it
            raise


def _store(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".new")
    descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    whole.rename(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
