import contextlib
import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bot.domain.agent import NO_REPOSITORY, RepoRef
from bot.domain.commands import (
    COMMANDS,
    ListAgents,
    OpenForm,
    OpenSecrets,
    ShowHelp,
    ShowStatus,
    StopAgent,
    parse,
)
from bot.domain.help import HELP, WELCOME
from bot.domain.settings_command import SetMine, SetRule
from bot.domain.start_command import MAX_FIRST_TASK_CHARS, StartAgent, title_of
from bot.errors import InvalidCommand

GOLDEN = Path(__file__).parents[3] / "golden"


def read(text: str) -> object:
    return parse(text, max_steps=50)


def test_repository_and_task_start_an_agent() -> None:
    assert read("acme/api fix the flaky test") == StartAgent(
        RepoRef("acme", "api"), "fix the flaky test"
    )


API = RepoRef("acme", "api")


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("fix the bug", StartAgent(API, "fix the bug")),
        ("lst of things", StartAgent(API, "lst of things")),
        ("--steps 3 fix a/b tests", StartAgent(API, "fix a/b tests", max_steps=3)),
        ("acme/web@dev go", StartAgent(RepoRef("acme", "web"), "go", "dev")),
        ("- write a tool", StartAgent(NO_REPOSITORY, "write a tool")),
        ("--no-repo write a tool", StartAgent(NO_REPOSITORY, "write a tool")),
        ("stop", StopAgent(None)),
    ],
)
def test_a_task_that_names_no_repository_takes_the_default(text: str, command: object) -> None:
    assert parse(text, max_steps=50, default=API) == command


def test_without_a_default_the_form_asks_for_the_repository() -> None:
    for text in ("fix the bug", "make it so", "use uv", "test all of it", "state the facts"):
        assert read(text) == OpenForm(text)
    assert read("- write a tool") == StartAgent(NO_REPOSITORY, "write a tool")
    assert read("\u2014 write a tool") == StartAgent(NO_REPOSITORY, "write a tool")


def test_branch_and_options_stand_anywhere_before_the_task() -> None:
    expected = StartAgent(RepoRef("acme", "api"), "fix it", "feature/x", "openai/gpt-5", 7)
    assert read("acme/api@feature/x --model openai/gpt-5 --steps 7 fix it") == expected
    assert read("--steps=7 acme/api@feature/x --model=openai/gpt-5 fix it") == expected


def test_a_dash_that_a_phone_made_of_two_hyphens_is_an_option() -> None:
    assert read("acme/api --budget 2.50 go") == StartAgent(
        RepoRef("acme", "api"), "go", budget_nano=2_500_000_000
    )
    assert read("acme/api \u2014steps 3 go") == StartAgent(
        RepoRef("acme", "api"), "go", None, None, 3
    )


def test_the_task_keeps_its_lines_and_its_later_options() -> None:
    command = read("acme/api run\n  make --model\nthen stop")
    assert isinstance(command, StartAgent)
    assert command.task == "run\n  make --model\nthen stop"


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("", OpenForm()),
        ("  ", OpenForm()),
        ("help", ShowHelp()),
        ("HELP me", ShowHelp()),
        ("list", ListAgents()),
        ("status", ShowStatus(None)),
        ("status k3f9ab", ShowStatus("k3f9ab")),
        ("stop `K3F9ab`", StopAgent("k3f9ab")),
    ],
)
def test_the_other_words(text: str, command: object) -> None:
    assert read(text) == command


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lst", "/agent list"),
        ("refactor", "Name the repository first"),
        ("lst of things", "/agent list"),
        ("-", "in an empty workspace"),
        ("set model ; x", "not a model"),
        ("set repo acme", "is not a repository"),
        ("set verbosity loud", "quiet|normal|verbose"),
        ("me verbosity quiet", "/agent me repo"),
        ("me repo ../x", "is not a repository"),
        ("acme/api", "What should be done"),
        ("acme/api@ go", "branch after `@`"),
        ("../x go", "is not a repository"),
        ("-x/y go", "is not a repository"),
        ("acme/-x go", "is not a repository"),
        ("acme/api/more go", "is not a repository"),
        ("https://github.com/acme/api go", "not by an address"),
        ("git@github.com:acme/api.git go", "not by an address"),
        ("github.com/acme/api go", "not by an address"),
        ("acme/api@../x go", "not a branch"),
        ("acme/api@-x go", "not a branch"),
        ("acme/api@a..b go", "not a branch"),
        ("acme/api@x.lock go", "not a branch"),
        ("acme/api --depth 3 go", "Unknown option"),
        ("acme/api --model", "needs a value"),
        ("acme/api --model ; go", "not a model"),
        ("acme/api --budget 0 go", "more than 0"),
        ("acme/api --budget -5 go", "more than 0"),
        ("acme/api --budget 1e9 go", "at most 10,000"),
        ("acme/api --budget", "needs a value"),
        ("acme/api --steps 0 go", "1 to 50"),
        ("acme/api --steps 51 go", "1 to 50"),
        ("acme/api --steps -1 go", "1 to 50"),
        ("acme/api --steps \u0663 go", "1 to 50"),
        ("stop a b", "not an agent's id"),
        ("--model x", "Name the repository first"),
        ("acme/api " + "x" * (MAX_FIRST_TASK_CHARS + 1), "the limit is"),
    ],
)
def test_bad_input_gets_a_sentence(text: str, says: str) -> None:
    with pytest.raises(InvalidCommand) as caught:
        read(text)
    assert says in caught.value.user_text
    assert len(caught.value.user_text) < 400


@given(st.text(max_size=100))
def test_any_text_is_a_command_or_a_sentence(text: str) -> None:
    with contextlib.suppress(InvalidCommand):
        assert read(text) is not None


def test_a_title_is_the_first_line_with_words() -> None:
    assert title_of("\n\n fix it \nplease") == "fix it"
    assert len(title_of("x" * 500)) == 120


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("secrets", OpenSecrets()),
        ("Secret anything that was typed here", OpenSecrets()),
        ("set", SetRule()),
        ("set stop owner", SetRule("stop", "owner")),
        ("SET Steer Anyone", SetRule("steer", "anyone")),
        ("set repositories acme/* b/c", SetRule("repositories", "acme/* b/c")),
        ("set repositories any", SetRule("repositories", "")),
        ("set repo acme/api", SetRule("repo", "acme/api")),
        ("set repo none", SetRule("repo", "")),
        ("set model openai/gpt-5", SetRule("model", "openai/gpt-5")),
        ("set verbosity Quiet", SetRule("verbosity", "quiet")),
        ("me", SetMine()),
        ("me repo acme/api", SetMine("repo", "acme/api")),
        ("me model default", SetMine("model", "")),
    ],
)
def test_the_words_for_keys_and_rules(text: str, command: object) -> None:
    assert parse(text, max_steps=50) == command


@pytest.mark.parametrize("text", ["set x", "set stop", "set stop all", "set repositories"])
def test_a_rule_that_is_none_is_explained(text: str) -> None:
    with pytest.raises(InvalidCommand, match="agent set"):
        parse(text, max_steps=50)


def test_the_help_names_every_word() -> None:
    for row in COMMANDS:
        assert f"/agent {row.word}" in row.help
        assert row.help in HELP


def test_a_word_and_an_alias_mean_one_command_alone() -> None:
    words = [word for row in COMMANDS for word in (row.word, *row.aliases)]
    assert len(set(words)) == len(words)


@pytest.mark.parametrize(("name", "text"), [("help", HELP), ("welcome", WELCOME)])
def test_the_help_reads_as_its_golden_file(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "rewrite":
        path.write_text(f"{text}\n")
    assert path.read_text() == f"{text}\n"
