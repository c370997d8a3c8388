"""The page's composer offers the commands of the bot. GOLDEN=rewrite writes its file anew."""

import json
import os
import re
from pathlib import Path

import pytest

from bot.domain import start_command
from bot.domain.commands import COMMANDS, parse
from bot.domain.start_command import StartAgent
from playground.page.completion import COMMANDS_FILE, OPTIONS, SHORTCUTS, SUB_COMMANDS
from playground.page.demos import DEMONSTRATIONS

MANIFEST = (Path(__file__).parents[3] / "manifest.yml").read_text()
VALUES = {"--model": "a/b", "--steps": "3", "--budget": "0.5"}


def test_the_file_of_the_composer_holds_the_bots_table_of_commands() -> None:
    table = {
        "words": [{"word": row.word, "about": row.completion} for row in COMMANDS],
        "options": [
            {"word": f"--{option.name}", "about": option.completion}
            for option in start_command.OPTIONS
        ],
    }
    written = json.dumps(table, indent=2, ensure_ascii=False) + "\n"
    if os.environ.get("GOLDEN") == "rewrite":
        COMMANDS_FILE.write_text(written, encoding="utf-8")
    assert COMMANDS_FILE.read_text(encoding="utf-8") == written


@pytest.mark.parametrize("word", [word.word for word in SUB_COMMANDS])
def test_every_word_that_is_offered_is_a_command(word: str) -> None:
    assert not isinstance(parse(word, max_steps=50), StartAgent)


def test_every_option_that_is_offered_is_understood() -> None:
    options = " ".join(f"{option.word} {VALUES[option.word]}" for option in OPTIONS)
    command = parse(f"demo/todo {options} do it", max_steps=50)
    assert isinstance(command, StartAgent)
    assert command.task == "do it"


@pytest.mark.parametrize("text", [demo.text for demo in DEMONSTRATIONS])
def test_every_demonstration_starts_an_agent(text: str) -> None:
    assert isinstance(parse(text, max_steps=50), StartAgent)


def test_every_word_of_the_manifest_is_offered() -> None:
    [hint] = re.findall(r'usage_hint: "(.+)"', MANIFEST)
    words = {word for word in hint.split(" | ")[1:] if word.isalpha()}
    assert words
    assert words <= {word.word for word in SUB_COMMANDS}


def test_every_message_shortcut_of_the_manifest_is_offered() -> None:
    named = re.findall(r"- name: (.+)\n +type: message\n +callback_id: (\w+)", MANIFEST)
    assert named
    assert named == [(shortcut.about, shortcut.word) for shortcut in SHORTCUTS]
