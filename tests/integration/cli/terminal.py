"""A person at a terminal: types, sees what is shown, presses Ctrl-C."""

import asyncio
import fcntl
import os
import re
import signal
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

SECONDS = 60.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """What a program shows on its terminal grows in `shown`."""

    def __init__(self, keyboard: int, process: asyncio.subprocess.Process) -> None:
        self._keyboard = keyboard
        self._process = process
        self._read = 0
        self._more = asyncio.Event()
        self.shown = ""
        asyncio.get_running_loop().add_reader(keyboard, self._show)

    def _show(self) -> None:
        try:
            piece = os.read(self._keyboard, 65_536)
        except OSError:  # the program has ended, and its terminal with it
            piece = b""
        if not piece:
            asyncio.get_running_loop().remove_reader(self._keyboard)
        self.shown += _COLOUR.sub("", piece.decode(errors="replace"))
        self._more.set()

    async def sees(self, text: str) -> None:
        """Wait until this is shown, after what was waited for before."""
        try:
            async with asyncio.timeout(SECONDS):
                while (at := self.shown.find(text, self._read)) < 0:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} was never shown:\n{self.shown}") from None
        self._read = at + len(text)

    def types(self, text: str) -> None:
        """Type a line."""
        os.write(self._keyboard, f"{text}\n".encode())

    def presses(self, control: bytes) -> None:
        os.write(self._keyboard, control)

    async def ends(self) -> int:
        """The exit status."""
        async with asyncio.timeout(SECONDS):
            status = await self._process.wait()
            await asyncio.sleep(0)
        return status


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # Whoever runs the tests in the background has them ignore Ctrl-C, and all that they start.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@asynccontextmanager
async def terminal(
    folder: Path, environment: Mapping[str, str], *arguments: str
) -> AsyncIterator[Terminal]:
    """Run `threadsmith …` on a terminal of its own."""
    keyboard, screen = os.openpty()
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("threadsmith"),
        *arguments,
        stdin=screen,
        stdout=screen,
        stderr=screen,
        cwd=folder,
        env=environment,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(screen)
    try:
        yield Terminal(keyboard, process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        with suppress(ValueError):
            asyncio.get_running_loop().remove_reader(keyboard)
        os.close(keyboard)
