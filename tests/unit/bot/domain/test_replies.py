"""A reply in a thread is read by one grammar: intent, mode, model, verbosity, restart."""

import pytest
from hypothesis import given, strategies as st

from bot.domain.replies import NO_SUCH_NAME, Intent, Reply, read_message, read_reply
from bot.domain.verbosity import Verbosity
from bridge.protocol import ChatMode

QUEUE, STEER, INTERRUPT = ChatMode.QUEUE, ChatMode.STEER, ChatMode.INTERRUPT


def message(text: str, mode: ChatMode = STEER, **fields: object) -> Reply:
    """A reply that is a message to the agent."""
    unaddressed = mode is STEER
    return Reply(Intent.MESSAGE, text, mode, unaddressed=unaddressed, **fields)  # type: ignore[arg-type]


EXAMPLES = {
    "stop": Reply(Intent.STOP),
    "Stop!": Reply(Intent.STOP),
    " STOP. \n": Reply(Intent.STOP),
    "!stop": Reply(Intent.STOP),
    "stop it": message("stop it"),
    "queue: stop": message("stop", QUEUE),
    "pause": Reply(Intent.PAUSE),
    "Mute.": Reply(Intent.MUTE),
    " unmute ": Reply(Intent.UNMUTE),
    "pause!": message("pause!"),
    "mute the log": message("mute the log"),
    "aside: lunch?": Reply(Intent.ASIDE),
    "  Aside: lunch?": Reply(Intent.ASIDE),
    "an aside: x": message("an aside: x"),
    "": message(""),
    "go on then": message("go on then"),
    " also mind the docs ": message("also mind the docs"),
    "Queue: then run the tests": message("then run the tests", QUEUE),
    " queue: too late": message("queue: too late"),
    "!": message("", INTERRUPT),
    "! do this now": message("do this now", INTERRUPT),
    "restart": message("restart", restart=True),
    "Go on!": message("Go on!", restart=True),
    '"continue".': message('"continue".', restart=True),
    "!restart": message("restart", INTERRUPT, restart=True),
    "queue: go on": message("go on", QUEUE, restart=True),
    "restart it": message("restart it"),
    "verbosity: quiet": message("verbosity: quiet", verbosity=Verbosity.QUIET),
    "Verbosity:VERBOSE!": message("Verbosity:VERBOSE!", verbosity=Verbosity.VERBOSE),
    "queue: verbosity: normal": message("verbosity: normal", QUEUE, verbosity=Verbosity.NORMAL),
    "verbosity: loud": message("verbosity: loud"),
    "verbosity: quiet please": message("verbosity: quiet please"),
    "model: acme/x": message("model: acme/x", model="acme/x"),
    "model: acme/x restart": message(
        "model: acme/x restart", model="acme/x", after_model="restart"
    ),
    "queue: --model acme/x go": message(
        "--model acme/x go", QUEUE, model="acme/x", after_model="go"
    ),
    "!model: acme/x go": message("model: acme/x go", INTERRUPT, model="acme/x", after_model="go"),
    "model: ../x": message("model: ../x", model=NO_SUCH_NAME),
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_reply_is_read_by_one_grammar(text: str) -> None:
    assert read_reply(text) == EXAMPLES[text]


@pytest.mark.parametrize(
    ("text", "model", "after"),
    [
        ("model: acme/x", "acme/x", ""),
        ("Model:acme/x", "acme/x", ""),
        ("  --model acme/x  go on ", "acme/x", "go on"),
        ("--model=`acme/x` and\nadd a test", "acme/x", "and\nadd a test"),
        ("\u2014model acme/x go", "acme/x", "go"),
        ("model: acme/x:nitro", "acme/x:nitro", ""),
    ],
)
def test_a_reply_may_begin_with_a_model(text: str, model: str, after: str) -> None:
    reply = read_reply(text)
    assert (reply.model, reply.after_model) == (model, after)
    assert reply.text == text.strip()


@pytest.mark.parametrize(
    "text", ["go on", "the model: acme/x is wrong", "--models x", "model:", "modelx", ""]
)
def test_other_replies_name_no_model(text: str) -> None:
    reply = read_reply(text)
    assert (reply.model, reply.text) == (None, text)


@pytest.mark.parametrize("text", ["model: <!channel>", "--model ../x", "model: " + "x" * 300])
def test_a_name_that_no_model_has_is_refused(text: str) -> None:
    assert read_reply(text).model == NO_SUCH_NAME


@given(st.text(max_size=80), st.sampled_from(ChatMode))
def test_any_message_keeps_its_text_and_ends_with_what_is_behind_a_model(
    text: str, mode: ChatMode
) -> None:
    reply = read_message(text, mode)
    assert (reply.intent, reply.text, reply.mode) == (Intent.MESSAGE, text, mode)
    assert reply.after_model in text
    assert not reply.after_model or reply.model


@given(st.sampled_from(list(EXAMPLES)), st.text(" \n\t", max_size=3))
def test_space_around_a_reply_changes_only_what_its_first_character_decides(
    text: str, space: str
) -> None:
    assert read_reply(text + space) == EXAMPLES[text]
    if EXAMPLES[text].mode is STEER and not text.startswith(" "):
        assert read_reply(space + text) == EXAMPLES[text]
