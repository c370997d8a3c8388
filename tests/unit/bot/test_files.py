"""Private files, short addresses of sockets, bodies with a bound."""

import os
import socket
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bot.files import (
    BodyTooLargeError,
    create_private_file,
    read_bounded,
    replace_private_file,
    socket_address,
    untrusted_socket_address,
)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_body_up_to_the_limit_is_read_whole() -> None:
    assert await read_bounded(chunks(b"ab", b"", b"cd"), 4) == b"abcd"
    assert await read_bounded(chunks(), 0) == b""


async def test_a_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    parts = chunks(b"ab", b"cd", b"never read")
    with pytest.raises(BodyTooLargeError, match="3 bytes"):
        await read_bounded(parts, 3)
    assert await anext(parts) == b"never read"


def test_the_first_of_many_creates_a_file_and_the_others_leave_it(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    contents = [bytes([number]) * 1_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: create_private_file(path, content), contents))
    assert path.read_bytes() in contents
    assert mode_of(path) == 0o600
    assert names_in(tmp_path) == ["secret"]


def test_a_file_that_exists_keeps_its_content(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    create_private_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["secret"]


def test_a_replaced_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.write_bytes(b"old")
    path.chmod(0o644)
    replace_private_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600
    assert names_in(tmp_path) == ["settings"]


@pytest.mark.parametrize("write", [create_private_file, replace_private_file])
def test_a_link_stays_a_link(tmp_path: Path, write: object) -> None:
    assert callable(write)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    write(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_failed_replacement_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_private_file(path, b"new")
    assert names_in(tmp_path) == ["folder"]


def test_a_socket_may_lie_deeper_than_an_address_is_long(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    path = folder / "bot.sock"
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        with socket_address(path) as address:
            listener.bind(address)
        listener.listen()
        with untrusted_socket_address(path) as address:
            client.connect(address)
        with socket_address(path) as address, socket.socket(socket.AF_UNIX) as second:
            second.connect(address)


@pytest.mark.parametrize("kind", ["file", "fifo", "folder", "link", "nothing"])
def test_only_a_socket_itself_has_an_untrusted_address(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "bridge.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "other.sock"))
        match kind:
            case "file":
                path.write_text("x")
            case "fifo":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "link":
                path.symlink_to(tmp_path / "other.sock")
        with pytest.raises(OSError, match=r"bridge\.sock"), untrusted_socket_address(path):
            pass


def test_an_untrusted_address_leads_to_the_file_that_was_checked(tmp_path: Path) -> None:
    path = tmp_path / "bridge.sock"
    with (
        socket.socket(socket.AF_UNIX) as listener,
        socket.socket(socket.AF_UNIX) as client,
    ):
        listener.bind(str(path))
        listener.listen()
        with untrusted_socket_address(path) as address:
            path.rename(tmp_path / "moved.sock")
            path.write_text("somebody else's")
            client.connect(address)
        accepted, _ = listener.accept()
        accepted.close()


def test_an_address_keeps_no_descriptor(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with socket_address(tmp_path / "bot.sock"):
            pass
        with pytest.raises(OSError, match="sock"), untrusted_socket_address(tmp_path / "no.sock"):
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
