"""What the page's composer offers is what the bot understands."""

import re
from pathlib import Path

import pytest

from bot.domain.commands import parse
from bot.domain.start_command import StartAgent
from playground.page.completion import OPTIONS, SHORTCUTS, SUB_COMMANDS
from playground.page.demos import DEMONSTRATIONS

MANIFEST = (Path(__file__).parents[3] / "manifest.yml").read_text()
VALUES = {"--model": "a/b", "--steps": "3", "--budget": "0.5"}


@pytest.mark.parametrize("word", [one.word for one in SUB_COMMANDS])
def test_every_word_that_is_offered_is_a_command(word: str) -> None:
    assert not isinstance(parse(word, max_steps=50), StartAgent)


def test_every_option_that_is_offered_is_understood() -> None:
    options = " ".join(f"{one.word} {VALUES[one.word]}" for one in OPTIONS)
    command = parse(f"demo/todo {options} do it", max_steps=50)
    assert isinstance(command, StartAgent)
    assert command.task == "do it"


@pytest.mark.parametrize("text", [one.text for one in DEMONSTRATIONS])
def test_every_demonstration_starts_an_agent(text: str) -> None:
    assert isinstance(parse(text, max_steps=50), StartAgent)


def test_every_word_of_the_manifest_is_offered() -> None:
    [hint] = re.findall(r'usage_hint: "(.+)"', MANIFEST)
    words = {word for word in hint.split(" | ")[1:] if word.isalpha()}
    assert words
    assert words <= {one.word for one in SUB_COMMANDS}


def test_every_message_shortcut_of_the_manifest_is_offered() -> None:
    named = re.findall(r"- name: (.+)\n +type: message\n +callback_id: (\w+)", MANIFEST)
    assert named
    assert named == [(one.about, one.word) for one in SHORTCUTS]
