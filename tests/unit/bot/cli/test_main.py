from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from bot.app.playground import SCRIPTED_MODEL, pointed_at
from bot.cli.main import main
from bot.config import Settings


def test_help_names_the_commands() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    assert "run" in result.output


def test_version_is_the_one_of_the_package() -> None:
    result = CliRunner().invoke(main, ["--version"], prog_name="threadsmith")
    assert result.output == f"threadsmith, version {version('threadsmith')}\n"


def test_an_unknown_command_is_refused() -> None:
    assert CliRunner().invoke(main, ["rnu"]).exit_code == 2


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-canary"}, "SLACK_APP_TOKEN"),
        ({"SLACK_BOT_TOKEN": "canary"}, "SLACK_BOT_TOKEN must begin with xoxb-"),
        ({"AGENT_MAX_STEPS": "none"}, "AGENT_MAX_STEPS"),
    ],
)
def test_wrong_settings_end_in_one_sentence_and_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("bot.cli.serve.set_up_logs", lambda *_: None)
    result = CliRunner().invoke(main, ["run"], env=environment)
    assert result.exit_code == 1
    assert result.output.startswith("threadsmith: ")
    assert said in result.output
    assert "canary" not in result.output.replace("xoxb-", "")
    assert "Traceback" not in result.output


def test_the_playgrounds_addresses_replace_the_public_ones_and_a_key_of_ones_own_is_kept() -> None:
    environment = {"SLACK_API_URL": "http://s/api/", "SLACK_BOT_TOKEN": "xoxb-p"}
    environment |= {"OPENROUTER_BASE_URL": "http://m", "OPENROUTER_API_KEY": "of-the-playground"}
    bare = pointed_at(Settings(_env_file=None, openrouter_api_key=SecretStr("")), environment)
    assert bare.slack_bot_token.get_secret_value() == "xoxb-p"
    assert bare.openrouter_base_url == "http://m"
    own = pointed_at(Settings(_env_file=None, openrouter_api_key=SecretStr("own")), environment)
    assert own.openrouter_api_key.get_secret_value() == "own"
    assert own.openrouter_base_url == Settings.model_fields["openrouter_base_url"].default


def test_stored_secrets_are_forgotten_only_when_somebody_says_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": ""}
    asked = CliRunner().invoke(main, ["forget-secrets"], env=environment, input="n\n")
    assert asked.exit_code == 1
    assert not (tmp_path / "data").exists()
    done = CliRunner().invoke(main, ["forget-secrets", "--yes"], env=environment)
    assert (done.exit_code, done.output) == (0, "0 secrets are removed.\n")
    wrong = CliRunner().invoke(
        main, ["forget-secrets", "--yes"], env={"DATABASE_URL": "mysql://u:canary@h/d"}
    )
    assert wrong.exit_code == 1
    assert "canary" not in wrong.output


PLAYGROUND = {
    "OPENROUTER_BASE_URL": "http://m",
    "OPENROUTER_API_KEY": "of-the-playground",
    "GITHUB_URL": "http://g",
    "GITHUB_TOKEN": "of-the-playground",
}


def test_an_address_of_ones_own_keeps_the_model_and_the_git_host_of_ones_own() -> None:
    settings = Settings(_env_file=None, openrouter_base_url="http://own", github_url="http://git")
    own = pointed_at(settings, PLAYGROUND)
    assert (own.openrouter_base_url, own.github_url) == ("http://own", "http://git")
    assert own.openrouter_api_key.get_secret_value() not in ("", "of-the-playground")
    assert own.github_token.get_secret_value() == ""
    assert own.agent_model == Settings.model_fields["agent_model"].default


def test_the_scripted_model_goes_by_a_name_that_says_so_and_the_log_is_quiet() -> None:
    bare = pointed_at(Settings(_env_file=None), PLAYGROUND)
    assert (bare.agent_model, bare.log_level) == (SCRIPTED_MODEL, "WARNING")
    chosen = Settings(_env_file=None, agent_model="scripted/fix", log_level="DEBUG")
    kept = pointed_at(chosen, PLAYGROUND)
    assert (kept.agent_model, kept.log_level) == ("scripted/fix", "DEBUG")
