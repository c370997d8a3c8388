"""Lists of references, as git servers send them and as attackers might."""

import contextlib

import pytest
from hypothesis import given, strategies as st

from bot.gateway.git.pkt_line import (
    NotGitError,
    Refs,
    pkt_line,
    pkt_lines,
    read_advertisement,
    read_ls_refs,
)

A, B = "a" * 40, "b" * 40


def advertisement(*lines: str) -> bytes:
    head = pkt_line("# service=git-upload-pack\n") + b"0000"
    return head + b"".join(pkt_line(line + "\n") for line in lines) + b"0000"


def test_an_old_server_without_symref_names_the_branch_at_heads_commit() -> None:
    lines = [f"{A} HEAD\0multi_ack", f"{B} refs/heads/a", f"{A} refs/heads/b"]
    assert read_advertisement(advertisement(*lines)) == Refs(("a", "b"), "b")
    both = [f"{A} HEAD\0", f"{A} refs/heads/a", f"{A} refs/heads/main"]
    assert read_advertisement(advertisement(*both)).default == "main"


def test_tags_and_pull_requests_are_no_branches() -> None:
    lines = [f"{A} refs/pull/1/head\0caps", f"{A} refs/tags/v1", f"{A} refs/heads/x"]
    assert read_advertisement(advertisement(*lines)) == Refs(("x",), None)


def test_an_empty_repository_has_no_branches() -> None:
    assert read_advertisement(advertisement(f"{'0' * 40} capabilities^{{}}\0caps")) == Refs()
    assert read_ls_refs(b"0000") == Refs()


def test_an_error_of_the_server_is_no_list() -> None:
    with pytest.raises(NotGitError):
        read_ls_refs(pkt_line("ERR access denied\n"))


def test_a_cut_answer_is_an_error() -> None:
    whole = advertisement(f"{A} refs/heads/x\0")
    for length in range(1, len(whole)):
        with contextlib.suppress(NotGitError):
            assert all(line is None or len(line) <= 200 for line in pkt_lines(whole[:length]))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_advertisement, read_ls_refs):
        with contextlib.suppress(NotGitError):
            assert isinstance(read(data), Refs)
