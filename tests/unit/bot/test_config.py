import re
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from bot.config import Settings
from bot.errors import ConfigurationError

ROOT = Path(__file__).parents[3]
FIELDS = Settings.model_fields


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FIELDS:
        monkeypatch.delenv(name.upper(), raising=False)


def documented() -> dict[str, str]:
    text = (ROOT / "docs/configuration.md").read_text()
    return dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", text, re.MULTILINE))


def as_written(default: object) -> str:
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    return f"`{value}`" if value not in ("", ()) else "—"


def test_each_setting_is_documented_with_its_default() -> None:
    assert documented() == {n.upper(): as_written(f.default) for n, f in FIELDS.items()}


@pytest.mark.parametrize("page", ["README.md", ".env.example"])
def test_a_page_names_only_settings_that_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    if page == "README.md":
        text = text[text.index("## Settings") : text.index("## How it works")]
        named = re.findall(r"`([A-Z][A-Z_]+)`", text)
    else:
        named = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
    assert named
    assert set(named) <= {name.upper() for name in FIELDS}


def test_the_example_sets_nothing_and_shows_the_true_defaults() -> None:
    for line in (ROOT / ".env.example").read_text().splitlines():
        assert not line or line.startswith("#")
        if match := re.fullmatch(r"#([A-Z_]+)=(.+)", line):
            default = as_written(FIELDS[match[1].lower()].default).strip("`")
            assert match[2] in {default, default.removesuffix(".0")}


def test_the_environment_is_read_and_wins_over_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("AGENT_MODEL=of/file\nAGENT_MAX_STEPS=7\nUNKNOWN=1\n")
    monkeypatch.setenv("AGENT_MODEL", "of/environment")
    settings = Settings.read()
    assert (settings.agent_model, settings.agent_max_steps) == ("of/environment", 7)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENT_MAX_STEPS", "0"),
        ("AGENT_MAX_STEPS", "many"),
        ("SLACK_HTTP_PORT", "70000"),
        ("DEFAULT_CONTAINER_MEMORY", "1"),
        ("COMMAND_TIMEOUT_SECONDS", "-1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_the_name_of_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError, match=variable):
        Settings.read()


def test_a_wrong_secret_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "canary-in-the-wrong-field")
    with pytest.raises(ConfigurationError) as caught:
        Settings.read().check_tokens()
    assert "SLACK_BOT_TOKEN must begin with xoxb-" in str(caught.value)
    assert "canary" not in str(caught.value)


def test_every_missing_credential_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.read().check_tokens()
    for name in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "OPENROUTER_API_KEY"):
        assert name in str(caught.value)


@pytest.mark.parametrize("second", ["slack_app_token", "slack_signing_secret"])
def test_either_way_to_receive_events_is_enough(second: str) -> None:
    value = SecretStr("xapp-canary")
    settings = Settings(
        _env_file=None,
        slack_bot_token=SecretStr("xoxb-canary"),
        openrouter_api_key=SecretStr("canary"),
    ).model_copy(update={second: value})
    settings.check_tokens()
    assert settings.socket_mode is (second == "slack_app_token")


def test_every_secret_is_known_for_redaction() -> None:
    names = [name for name, field in FIELDS.items() if field.annotation is SecretStr]
    settings = Settings(_env_file=None).model_copy(
        update={name: SecretStr(f"canary-{name}") for name in names}
    )
    assert set(settings.secrets) == {f"canary-{name}" for name in names}
    assert len(names) == 7
    assert "canary" not in repr(settings)


def test_addresses_are_brought_into_one_form() -> None:
    settings = Settings(
        _env_file=None, slack_api_url="http://s/api", github_url="http://g/", command_allow=()
    )
    assert (settings.slack_api_url, settings.github_url) == ("http://s/api/", "http://g")


def test_the_allowed_commands_are_a_list_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMMAND_ALLOW", "cargo,,go")
    assert Settings.read().command_allow == ("cargo", "go")


def test_programs_are_for_all_repositories_or_for_those_that_are_named() -> None:
    allow = ("cargo", "Acme/api:terraform", "acme/*:helm", "other/x:kubectl")
    settings = Settings(_env_file=None, command_allow=allow)
    assert settings.programs_of("acme/API") == ("cargo", "terraform", "helm")
    assert settings.programs_of("acme/web") == ("cargo", "helm")
    assert settings.programs_of("other/y") == ("cargo",)
    for wrong in ("acme:helm", "acme/api:", ":helm", "a b/c:d"):
        with pytest.raises(ValidationError, match="neither a program"):
            Settings(_env_file=None, command_allow=(wrong,))


def test_the_database_lies_in_the_data_directory_unless_one_is_named() -> None:
    assert Settings(_env_file=None).database == "sqlite+aiosqlite:///data/threadsmith.db"
    assert Settings(_env_file=None, database_url="postgresql://x/y").database == "postgresql://x/y"
