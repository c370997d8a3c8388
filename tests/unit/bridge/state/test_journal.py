import os
from pathlib import Path

import pytest

from bridge.errors import BridgeError
from bridge.state.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "log.jsonl"


def written(path: Path, *lines: bytes) -> None:
    journal = Journal(path)
    for line in lines:
        journal.append(line)
    journal.close()


def test_lines_are_numbered_from_one_and_read_back(path: Path) -> None:
    written(path, b'{"a":1}', b'{"a":2}')
    journal = Journal(path)
    assert journal.append(b'{"a":3}') == 3
    assert journal.read(0) == [b'{"a":1}', b'{"a":2}', b'{"a":3}']
    assert journal.read(2) == [b'{"a":3}']
    assert journal.read(3) == []
    journal.close()
    journal.close()


@pytest.mark.parametrize("tail", [b'{"a":', b'{"a":2}', b"\0\0\0\0\n", b'{"torn\n', b"\n"])
def test_a_torn_end_is_cut_off_and_its_number_given_again(path: Path, tail: bytes) -> None:
    written(path, b'{"a":1}')
    with path.open("ab") as file:
        file.write(tail)
    journal = Journal(path)
    assert len(journal) == 1
    assert journal.append(b'{"b":2}') == 2
    assert journal.read(0) == [b'{"a":1}', b'{"b":2}']
    journal.close()


def test_a_read_stops_at_its_limit_but_gives_one_line_at_least(path: Path) -> None:
    written(path, b'"12345678"', b'"12345678"', b'"12345678"')
    journal = Journal(path)
    assert len(journal.read(0, limit_bytes=1)) == 1
    assert len(journal.read(0, limit_bytes=22)) == 2
    journal.close()


def test_lines_longer_than_a_block_are_found_again(path: Path) -> None:
    long = b'"' + b"x" * 3_000_000 + b'"'
    written(path, long, b"{}")
    journal = Journal(path)
    assert journal.read(0, limit_bytes=1) == [long]
    assert journal.read(1) == [b"{}"]
    journal.close()


def test_a_second_owner_is_refused(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(BridgeError):
        Journal(path)
    journal.close()
    Journal(path).close()


def test_after_a_failed_write_the_next_line_is_whole(path: Path) -> None:
    journal = Journal(path)
    journal.append(b"{}")
    kept = journal._fd
    journal._fd = os.open("/dev/full", os.O_RDWR)
    with pytest.raises(BridgeError):
        journal.append(b'{"lost":1}')
    os.close(journal._fd)
    journal._fd = kept
    with path.open("ab") as file:
        file.write(b'{"lo')  # what a real full disk leaves behind
    journal.append(b'{"kept":1}')
    assert path.read_bytes() == b'{}\n{"kept":1}\n'
    journal.close()
