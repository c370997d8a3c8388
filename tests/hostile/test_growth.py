"""Whatever others write, no reader or renderer of it takes a time that grows as its square.

Long runs of one kind of character, of two kinds in turn and one behind the other, deep nesting,
fences and tables that do not end: each at two sizes, whose times are compared with each other.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from itertools import permutations

import pytest

from bot.bridge_client.events import SseFrames
from bot.domain.agent import RepoRef, branch_for, checked_branch
from bot.domain.attachment import SharedFile, sort_files
from bot.domain.bounded_json import parse_json
from bot.domain.budget import checked_budget
from bot.domain.commands import parse
from bot.domain.inert_markdown import inert_markdown, inert_words
from bot.domain.near_names import near_names
from bot.domain.patch_view import files_of
from bot.domain.policy import checked_patterns
from bot.domain.quoting import code, escaped, line
from bot.domain.replies import read_reply
from bot.domain.secrets import checked_value, checked_variable
from bot.domain.settings_command import checked_model
from bot.domain.start_command import read_start, title_of
from bot.domain.thread_context import ContextMessage, Opening
from bot.errors import InvalidCommand
from bot.gateway.egress.request import MalformedError, read_request
from bot.gateway.git.pkt_line import NotGitError, read_advertisement, read_ls_refs
from bot.gateway.git.receive_pack import PushRefusedError, read_head
from bot.gateway.model.catalogue import read_models
from bot.gateway.model.request import read_chat
from bot.gateway.model.usage import UsageReader
from bot.gateway.upstream import RequestRefusedError
from bot.redaction import Redactor
from bot.slack.events import is_urgent, person_message
from bot.slack.views.modal import ModalLocation, pieces
from bot.slack.views.question import _fenced
from bot.slack.views.splitting import split_markdown
from bot.slack.views.text import model_markdown, plain, visible
from tests.hostile.growth import TIMES_SLOWER, growth
from tests.unit.bot.slack.places import texts, views
from tests.unit.bot.slack.posts import Words, posts
from tests.unit.bot.slack.windows import windows

pytestmark = pytest.mark.slow(60)

CHARS = 2_000
RUNS = (
    " ", "\t", "\n", "\r", "a", "Z", "0", "-", "_", ".", ":", "/", "|", "<", ">", "@", "#", "!",
    "`", "~", "*", "\\", '"', "'", "[", "]", "(", "{", "}", "&", "=", ",", "\u202e", "\u200b",
    "\u20ac", "🤖", "\ud800",
)  # fmt: skip
# What begins something that the readers know, and perhaps never ends.
BEGINNINGS = (
    "<@UBOT|", "<@", "<!", "<a:", "<a:b|", "<mailto:", "&#", "&lt", "```\n", "~~~\n", "`````",
    "> ", "- ", "# ", "1. ", "|-", "|a|\n|-|\n", "a|b\n-|-\n", "**", "[a](", "![", "</a", "<!--",
    "title:", "--model ", "--steps 1 ", "model:", "verbosity: a", "aside:", "sk-", "sk-or-",
    "ghp_", "xoxb-", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "[],", '{"a":', '"a",',
    "\\u202e", "data:\n", "diff --git a/x b/x\n", "@@ -1 +1 @@\n", '+++ "b/\\', "0004", "0000",
    "0008abcd",
)  # fmt: skip
Read = Callable[[str], object]
Make = Callable[[int], str]


def repeated(piece: str, before: str = "", after: str = "") -> Make:
    return lambda chars: before + piece * (chars // len(piece)) + after


def halves(first: str, second: str) -> Make:
    return lambda chars: first * (chars // 2) + second * (chars // 2)


def made() -> Iterator[tuple[str, Make]]:
    """Gives each text by a name, as a function of its length."""
    for piece in (*RUNS, *BEGINNINGS):
        yield f"{piece!r}…", repeated(piece)
        yield f"{piece!r}… x", repeated(piece, after=" x")
        yield f"x{piece!r}…", repeated(piece, before="x")
    for first, second in permutations(RUNS, 2):
        yield f"{first!r}{second!r}…", repeated(first + second)
        yield f"{first!r}…{second!r}…", halves(first, second)
    for opening, closing in ("[]", "()", "{}", "<>"):
        yield f"nested {opening}{closing}", halves(opening, closing)


TEXTS = dict(made())
LONE = {f"{piece!r}…": repeated(piece) for piece in (*RUNS, *BEGINNINGS)}


def known(prefix: str, suffix: str, read: Read) -> Read:
    """Puts the text behind and before what brings the reader to it."""
    return lambda text: read(prefix + text + suffix)


def as_bytes(read: Callable[[bytes], object]) -> Read:
    return lambda text: read(text.encode("utf-8", "surrogatepass"))


def as_message(text: str) -> object:
    return person_message({}, {"user": "UANA", "ts": "1.0", "channel": "C1", "text": text}, "UBOT")


def as_urgent(text: str) -> object:
    return is_urgent({"event": {"type": "message", "text": text}}, "octagonal_sign")


def as_opening(text: str) -> object:
    return Opening((ContextMessage(text, text),)).with_task("x")


SECRETS = Redactor(["aaaaaaaaaaaaaaaab1", "a-b_c.d/e+f=0123456789", "\u20acsecret-value-0815"])
READERS: dict[str, Read] = {
    "split_markdown": split_markdown,
    "split_markdown, in a table": known("a|b\n|-", "", split_markdown),
    "split_markdown, in small parts": lambda text: split_markdown(text, 500),
    "model_markdown": model_markdown,
    "visible": visible,
    "pieces": pieces,
    "plain": plain,
    "plain, in a link": known("<https://x.invalid/|", "", plain),
    "escaped": escaped,
    "code": code,
    "line": lambda text: line(text, 300),
    "fenced": _fenced,
    "title_of": title_of,
    "branch_for": lambda text: branch_for("k3f9ab", text),
    "inert_markdown": inert_markdown,
    "inert_words": inert_words,
    "with_task": as_opening,
    "read_reply": read_reply,
    "read_reply, verbosity": known("verbosity: quiet", "x", read_reply),
    "read_reply, model": known("--model ", " x", read_reply),
    "person_message": as_message,
    "is_urgent": as_urgent,
    "parse": lambda text: parse(text, max_steps=15),
    "parse, set": lambda text: parse(f"set {text}", max_steps=15),
    "parse, me": lambda text: parse(f"me repo {text}", max_steps=15),
    "read_start": lambda text: read_start(text, 15, RepoRef("acme", "api")),
    "read_start, option": known("--", " acme/api x", lambda text: read_start(text, 15, None)),
    "RepoRef.parse": RepoRef.parse,
    "checked_branch": checked_branch,
    "checked_model": checked_model,
    "checked_patterns": checked_patterns,
    "checked_budget": checked_budget,
    "checked_variable": checked_variable,
    "checked_value": checked_value,
    "sort_files": lambda text: sort_files([SharedFile("F1", text, text, 1)]),
    "near_names": lambda text: near_names(text, [text[1:], f"{text}x"], 0.5),
    "redaction": SECRETS,
    "ModalLocation": ModalLocation.unpacked,
    "parse_json": as_bytes(parse_json),
    "parse_json, in a list": known("[", "]", as_bytes(parse_json)),
    "read_chat": known('{"messages":', "", as_bytes(lambda body: read_chat(body, ()))),
    "read_models": known('{"data":', "", as_bytes(read_models)),
    "UsageReader": known('data: {"usage":', "\n", as_bytes(lambda data: UsageReader().feed(data))),
    "SseFrames": as_bytes(lambda data: list(SseFrames(10**6).feed(data))),
    "files_of": known("diff --git ", "", as_bytes(files_of)),
    "files_of, hunks": known("diff --git a/x b/x\n@@ -1 +1 @@\n", "", as_bytes(files_of)),
    "read_request": known("GET ", "\r\n\r\n", as_bytes(read_request)),
    "read_request, header": known(
        "GET http://x.invalid/ HTTP/1.1\r\nX:", "\x01\r\n\r\n", as_bytes(read_request)
    ),
    "read_advertisement": as_bytes(read_advertisement),
    "read_ls_refs": as_bytes(read_ls_refs),
    "read_head": as_bytes(read_head),
}
REFUSALS = (
    InvalidCommand, MalformedError, NotGitError, PushRefusedError, RequestRefusedError, ValueError,
)  # fmt: skip


def refusing(read: Read) -> Read:
    """Takes a refusal for an answer: it costs time as well."""

    def read_or_refuse(text: str) -> object:
        with suppress(*REFUSALS):
            return read(text)
        return None

    return read_or_refuse


@pytest.mark.parametrize("name", READERS)
def test_no_text_takes_a_reader_the_square_of_its_length(name: str) -> None:
    read = refusing(READERS[name])
    slow = {text: growth(read, text_of, CHARS) for text, text_of in TEXTS.items()}
    assert {text: times for text, times in slow.items() if times >= TIMES_SLOWER} == {}


def words(text: str) -> Words:
    return Words(**{item.name: text for item in fields(Words)})


@pytest.mark.parametrize("render", [posts, windows, texts, views])
def test_no_text_takes_a_view_the_square_of_its_length(render: Callable[[Words], object]) -> None:
    def read(text: str) -> object:
        return render(words(text))

    slow = {text: growth(read, text_of, CHARS) for text, text_of in LONE.items()}
    assert {text: times for text, times in slow.items() if times >= TIMES_SLOWER} == {}
