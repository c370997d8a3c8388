"""The beginning of a push, read from bytes that may be anything."""

import pytest
from hypothesis import given, strategies as st

from bot.gateway.git.receive_pack import (
    MAX_COMMANDS_BYTES,
    PushHead,
    PushRefusedError,
    check_push,
    is_pack,
    read_head,
    rejection,
)

OLD, NEW, ZERO = "1" * 40, "2" * 40, "0" * 40
REF = "refs/heads/agent/x"


def pkt(text: bytes) -> bytes:
    return b"%04x" % (len(text) + 4) + text


def push(*lines: bytes, capabilities: bytes = b"report-status side-band-64k") -> bytes:
    first, *others = lines
    return b"".join([pkt(first + b"\0 " + capabilities), *map(pkt, others), b"0000"])


def command(old: str = OLD, new: str = NEW, ref: str = REF) -> bytes:
    return f"{old} {new} {ref}".encode()


def test_a_plain_push_is_read_whole_and_byte_by_byte() -> None:
    data = push(command() + b"\n") + b"PACK\0\0\0\2"
    head = read_head(data)
    assert head
    assert check_push(head, "agent/x").new == NEW
    assert is_pack(data[head.size :])
    for end in range(head.size):
        assert read_head(data[:end]) is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"zzzz", "pkt-line"),
        (b"+00a", "pkt-line"),
        (b"0001", "empty"),
        (b"0004", "empty"),
        (pkt(b"shallow " + OLD.encode()), "shallow"),
        (pkt(b"push-cert\0 x"), "certificate"),
        (pkt(b"x y z"), "not a command"),
        (pkt(f"{OLD} {NEW}".encode()), "not a command"),
        (pkt(f"{OLD.upper().replace('1', 'A')} {NEW} {REF}".encode()), "not a command"),
        (pkt(f"{OLD} {'2' * 64} {REF}".encode()), "not a command"),
        (pkt(command(ref="refs/heads/é"[:-1]) + b"\xff"), "not plain"),
        (push(command(), command() + b"\0more"), "middle"),
        (push(*[command()] * 21), "too many"),
        (b"ffff" + b"x" * (MAX_COMMANDS_BYTES + 10), "not a command"),
    ],
)
def test_other_shapes_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(PushRefusedError, match=words):
        read_head(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (push(command(), command()), "one branch"),
        (push(command(), command(ref="refs/heads/other")), "one branch"),
        (push(command(ref="refs/heads/main")), "only agent/x"),
        (push(command(ref="refs/heads/agent/x/")), "only agent/x"),
        (push(command(ref="refs/heads/agent/X")), "only agent/x"),
        (push(command(ref="refs/heads/agent/x y")), "only agent/x"),
        (push(command(ref="refs/tags/agent/x")), "only branches"),
        (push(command(ref="refs/pull/1/head")), "only branches"),
        (push(command(ref="HEAD")), "only branches"),
        (push(command(new=ZERO)), "deleting"),
        (push(command(), capabilities=b"report-status push-options"), "push options"),
        (b"0000", "one branch"),
    ],
)
def test_other_pushes_are_refused(data: bytes, words: str) -> None:
    head = read_head(data)
    assert head
    with pytest.raises(PushRefusedError, match=words):
        check_push(head, "agent/x")


@given(st.binary(max_size=300) | st.lists(st.binary(max_size=60).map(pkt)).map(b"".join))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        head = read_head(data)
        if head:
            check_push(head, "agent/x")
    except PushRefusedError:
        return


def test_a_rejection_is_wrapped_as_the_client_asked() -> None:
    head = read_head(push(command()))
    assert head
    wrapped = rejection(head, "no\n\x1b[31m way")
    plain = rejection(PushHead(head.commands, frozenset({"report-status"}), 0), "no\n\x1b[31m way")
    assert plain == pkt(b"unpack ok\n") + pkt(f"ng {REF} no??[31m way\n".encode()) + b"0000"
    assert wrapped == pkt(b"\x01" + plain) + b"0000"
    assert rejection(PushHead(head.commands, frozenset(), 0), "no") is None
    assert rejection(PushHead((), frozenset({"report-status"}), 0), "no") is None
