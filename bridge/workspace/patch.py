"""Puts the changes of an earlier container into a checkout: all of them, or none.

A patch lies in a file beside the event log until it is in the checkout, so that what a kill cuts
short is done again. It is called `waiting` while the checkout is untouched and `applying` once it
may not be.
"""

import asyncio
import errno
import hashlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Protocol

from bridge.errors import BridgeError, WorkspaceError
from bridge.process.run import CommandResult, StartError
from bridge.protocol import ErrorCode
from bridge.workspace.filesystem import Workspace
from bridge.workspace.git import failure_code, git

_log = logging.getLogger(__name__)
_APPLIED = "threadsmith.patch"  # in the checkout's own settings: the digest of what is in it


class PatchedCheckout(Protocol):
    """What a patch goes into. Methods raise WorkspaceError."""

    async def applied_digest(self) -> str:
        """The digest of the patch that was put into it; empty when there was none."""
        ...

    async def is_changed(self) -> bool:
        """Whether it differs from its commit."""
        ...

    async def apply(self, data: bytes) -> None:
        """Apply a patch and note its digest."""
        ...

    async def start_over(self) -> None:
        """Put it back to its commit."""
        ...


class SavedPatch:
    """The one patch of a state directory that is still to get into the checkout."""

    def __init__(self, directory: Path) -> None:
        self._waiting = directory / "patch.waiting"
        self._applying = directory / "patch.applying"

    @property
    def is_there(self) -> bool:
        """Whether there is one."""
        return self._waiting.exists() or self._applying.exists()

    async def keep(self, data: bytes) -> None:
        """Store it, instead of one that waits already; raises BridgeError when it cannot be."""
        try:
            await asyncio.to_thread(_store, self._waiting, data)
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            code = ErrorCode.NO_SPACE if is_full else ErrorCode.INTERNAL
            raise BridgeError(code, f"The patch cannot be kept: {error.strerror}.") from error

    def drop(self) -> None:
        """Forget it; once is enough, twice does no harm."""
        self._waiting.unlink(missing_ok=True)
        self._applying.unlink(missing_ok=True)

    async def for_a_new_one(self) -> bytes:
        """The patch that belongs into a checkout that is still to be made; empty: none."""
        if not self._waiting.exists():
            return b""
        return await asyncio.to_thread(self._waiting.read_bytes)

    async def put_on(self, checkout: PatchedCheckout) -> None:
        """Apply it to a checkout that is in use, if it is there, and forget it then.

        Raises WorkspaceError when it does not fit, or would join changes that are there already;
        the checkout is as it was then.
        """
        if self._applying.exists():
            if not await _is_applied(checkout, self._applying):
                await checkout.start_over()
                await self._apply_here(checkout)
        elif self._waiting.exists() and not await _is_applied(checkout, self._waiting):
            if await checkout.is_changed():
                raise WorkspaceError(
                    ErrorCode.WORKSPACE_CONFLICT,
                    "The workspace has changes of its own; a patch goes onto a fresh one only.",
                )
            self._waiting.rename(self._applying)
            await self._apply_here(checkout)
        self.drop()

    async def put_now(self, checkout: PatchedCheckout, data: bytes) -> None:
        """Store this one and apply it, all or nothing, and then forget it. Raises BridgeError."""
        await self.keep(data)
        try:
            await self.put_on(checkout)
        except WorkspaceError:
            self.drop()
            raise

    async def finish(self, checkout: PatchedCheckout) -> None:
        """Complete what a kill cut short; whoever sent it was promised nothing."""
        try:
            await self.put_on(checkout)
        except WorkspaceError as error:
            _log.warning("a patch was given up: %s", error.message)
            self.drop()

    async def _apply_here(self, checkout: PatchedCheckout) -> None:
        try:
            await checkout.apply(await asyncio.to_thread(self._applying.read_bytes))
        except BaseException:
            await checkout.start_over()  # a full disk may have stopped it half-way
            raise


async def is_applied(checkout: PatchedCheckout, data: bytes) -> bool:
    """Whether exactly this patch was put into the checkout before."""
    return await checkout.applied_digest() == hashlib.sha256(data).hexdigest()


async def _is_applied(checkout: PatchedCheckout, file: Path) -> bool:
    return await is_applied(checkout, await asyncio.to_thread(file.read_bytes))


async def applied_digest(checkout: Workspace) -> str:
    """The digest of the patch that was put into the checkout; empty when there was none."""
    return (await git(checkout, "config", "--local", "--get", _APPLIED)).stdout.text.strip()


async def apply_patch(checkout: Workspace, data: bytes) -> None:
    """Apply a patch, all or nothing, and note its digest. Raises WorkspaceError."""
    try:
        with tempfile.NamedTemporaryFile(prefix="threadsmith-patch-") as file:
            await asyncio.to_thread(_fill, Path(file.name), data)
            # Git checks all of it before it writes any of it.
            finished = await git(checkout, "apply", "--binary", "--whitespace=nowarn", file.name)
    except StartError as error:
        raise WorkspaceError(ErrorCode.INTERNAL, str(error)) from error
    except OSError as error:
        message = f"The patch cannot be handed over: {error.strerror}."
        raise WorkspaceError(ErrorCode.NO_SPACE, message) from error
    if finished.exit_code != 0:
        raise _refusal(finished)
    digest = hashlib.sha256(data).hexdigest()
    await _must(checkout, "config", "--local", "--", _APPLIED, digest)


def _refusal(finished: CommandResult) -> WorkspaceError:
    if finished.timed_out:
        return WorkspaceError(ErrorCode.INTERNAL, "Applying the patch took too long.")
    said = finished.stderr.text
    if failure_code(said) is ErrorCode.NO_SPACE:
        return WorkspaceError(ErrorCode.NO_SPACE, "No space is left for what the patch holds.")
    first = " ".join(said.strip().splitlines()[:3])[:500]
    return WorkspaceError(ErrorCode.WORKSPACE_CONFLICT, f"The patch does not apply: {first}")


async def is_changed(checkout: Workspace) -> bool:
    """Whether the checkout differs from its commit."""
    listed = await _must(checkout, "status", "--porcelain", "-z", "--untracked-files=all")
    return bool(listed.stdout.head or listed.stdout.tail)


async def start_over(checkout: Workspace) -> None:
    """Back to the commit; only where nothing but a part of the patch can have changed it."""
    await _must(checkout, "reset", "--hard", "--quiet")
    await _must(checkout, "clean", "-ffdxq", "--exclude=/lost+found")


async def _must(checkout: Workspace, *arguments: str) -> CommandResult:
    finished = await git(checkout, *arguments)
    if finished.exit_code != 0:
        said = finished.stderr.text.strip()[-500:]
        raise WorkspaceError(ErrorCode.INTERNAL, f"git {arguments[0]} failed: {said}")
    return finished


def _fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)


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
