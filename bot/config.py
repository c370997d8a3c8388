"""The bot's settings: the environment or `.env`, read once at start; every default is here."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import ConfigurationError

REPOSITORY_PATTERN = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/(?:\*|[A-Za-z0-9_][A-Za-z0-9._-]{0,99})"
)
# `name=0.5/1.5`: dollars for a million tokens, of the prompt and of the answer.
MODEL_PRICE_PATTERN = re.compile(
    r"([^=\s]{1,200})=(\d{1,6}(?:\.\d{1,9})?)/(\d{1,6}(?:\.\d{1,9})?)", re.ASCII
)
_HOST_PATTERN = re.compile(
    r"\*|(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*|[0-9a-f:.]{2,45}",
    re.IGNORECASE,
)
# Written with commas between in the environment.
CommaSeparated = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """One field is one variable: `slack_bot_token` is read from `SLACK_BOT_TOKEN`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    # Slack
    slack_bot_token: SecretStr = SecretStr("")
    slack_app_token: SecretStr = SecretStr("")
    slack_signing_secret: SecretStr = SecretStr("")
    slack_api_url: str = "https://slack.com/api/"
    slack_http_host: str = "127.0.0.1"
    slack_http_port: int = Field(default=3000, ge=0, le=65_535)
    slack_stop_reaction: str = "octagonal_sign"
    slack_plan_blocks: bool = True
    slack_agent_sessions: bool = False

    # Model
    openrouter_api_key: SecretStr = SecretStr("")
    openrouter_base_url: str = "https://openrouter.ai/api/v1"
    agent_model: str = "anthropic/claude-3.5-sonnet"
    agent_fallback_models: CommaSeparated = ()
    agent_summary_model: str = ""
    agent_plan_model: str = ""
    agent_context_tokens: int = Field(default=0, ge=0, le=100_000_000)
    agent_max_steps: int = Field(default=15, ge=1, le=200)
    agent_max_steps_limit: int = Field(default=50, ge=1, le=1_000)

    model_allow: CommaSeparated = ()
    model_prices: CommaSeparated = ()
    model_max_tokens: int = Field(default=16_384, ge=256, le=1_000_000)
    model_calls_per_minute: int = Field(default=120, ge=0, le=100_000)

    # Money; 0 is no cap
    budget_agent_usd: float = Field(default=0.0, ge=0, le=10_000)
    budget_user_day_usd: float = Field(default=0.0, ge=0, le=1_000_000)
    budget_channel_day_usd: float = Field(default=0.0, ge=0, le=1_000_000)
    budget_deployment_day_usd: float = Field(default=0.0, ge=0, le=1_000_000)
    budget_assumed_usd_per_mtok: float = Field(default=10.0, ge=0, le=10_000)

    # Git
    github_token: SecretStr = SecretStr("")
    github_app_id: str = ""
    github_app_private_key: SecretStr = SecretStr("")
    github_app_private_key_file: str = ""
    github_url: str = "https://github.com"
    github_api_url: str = "https://api.github.com"
    git_user_name: str = "Threadsmith"
    git_user_email: str = "threadsmith@localhost"
    push_branches: bool = True
    push_limit_bytes: int = Field(default=104_857_600, ge=1_024)

    # Containers
    bridge_image: str = "threadsmith-bridge:latest"
    default_container_memory: int = Field(default=2_147_483_648, ge=134_217_728)
    default_container_cpu: int = Field(default=1_000_000_000, ge=10_000_000)
    container_disk_bytes: int = Field(default=10_737_418_240, ge=0)
    container_runtime: str = ""
    command_timeout_seconds: float = Field(default=30.0, gt=0, le=3_600)
    command_allow: CommaSeparated = ()
    boot_timeout_seconds: float = Field(default=60.0, gt=0)
    clone_timeout_seconds: float = Field(default=600.0, gt=0)
    sleep_after_seconds: float = Field(default=1_800.0, gt=0)
    reconcile_seconds: float = Field(default=30.0, gt=0)
    sandbox_network: Literal["", "sealed", "open"] = ""
    egress_allow: CommaSeparated = ()
    egress_registries: bool = True
    egress_private_networks: CommaSeparated = ()
    gateway_host: str = ""
    gateway_port: int = Field(default=0, ge=0, le=65_535)

    # People and limits; 0 is no limit, an empty list allows everything
    admins: CommaSeparated = ()
    allow_guests: bool = False
    allow_external: bool = False
    allowed_channels: CommaSeparated = ()
    allowed_repositories: CommaSeparated = ()
    max_agents: int = Field(default=10, ge=0)
    max_agents_per_user: int = Field(default=5, ge=0)
    max_agents_per_channel: int = Field(default=10, ge=0)
    starts_per_hour_per_user: int = Field(default=20, ge=0)

    # State and logs
    data_dir: Path = Path("data")
    database_url: str = ""
    secrets_key: SecretStr = SecretStr("")
    retention_days: float = Field(default=30.0, ge=1, le=36_500)
    usage_days: float = Field(default=90.0, ge=2, le=36_500)
    log_level: str = "INFO"
    crash_at: str = ""

    @field_validator(
        "command_allow",
        "egress_allow",
        "egress_private_networks",
        "agent_fallback_models",
        "model_allow",
        "model_prices",
        "admins",
        "allowed_channels",
        "allowed_repositories",
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(filter(None, (word.strip() for word in value.split(","))))

    @field_validator("allowed_repositories")
    @classmethod
    def _patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in value if not REPOSITORY_PATTERN.fullmatch(word)]:
            raise ValueError(f"{wrong[0][:100]} is neither owner/name nor owner/*")
        return value

    @field_validator("command_allow")
    @classmethod
    def _programs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for scope, colon, program in (word.rpartition(":") for word in value):
            if colon and not (REPOSITORY_PATTERN.fullmatch(scope) and program):
                raise ValueError(
                    f"{scope[:100]}:{program[:100]} is neither a program nor owner/name:program"
                )
        return value

    @field_validator("model_prices")
    @classmethod
    def _prices(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in value if not MODEL_PRICE_PATTERN.fullmatch(word)]:
            raise ValueError(
                f"{wrong[0][:100]} is no price: write name=0.50/1.50, the dollars for a million "
                "tokens of the prompt and of the answer"
            )
        return value

    @field_validator("egress_allow")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := [word for word in value if not _HOST_PATTERN.fullmatch(word)]:
            raise ValueError(
                f"{wrong[0][:100]} is no host name; write example.com, *.example.com or *, without "
                "scheme, port or path"
            )
        return value

    @field_validator("egress_private_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for word in value:
            ipaddress.ip_network(word)  # its ValueError names what is wrong
        return value

    @field_validator("container_disk_bytes")
    @classmethod
    def _disk_enough(cls, value: int) -> int:
        if 0 < value < 67_108_864:  # noqa: PLR2004
            raise ValueError("less than 64 MiB is no room for a checkout; 0 is no limit")
        return value

    @field_validator("agent_context_tokens")
    @classmethod
    def _room_enough(cls, value: int) -> int:
        if 0 < value < 2_048:  # noqa: PLR2004  (the bridge would refuse it too, but later)
            raise ValueError("a context of less than 2048 tokens leaves no room to work")
        return value

    @field_validator("slack_api_url")
    @classmethod
    def _with_slash(cls, value: str) -> str:
        return value.rstrip("/") + "/"

    @field_validator("openrouter_base_url", "github_url", "github_api_url")
    @classmethod
    def _without_slash(cls, value: str) -> str:
        return value.rstrip("/")

    @classmethod
    def read(cls) -> Self:
        """Reads the settings; raises ConfigurationError naming each wrong variable."""
        try:
            return cls()
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, item['loc'])).upper()}: {item['msg']}"
                for item in error.errors(include_input=False)
            )
            raise ConfigurationError(f"Settings: {problems}") from error

    def check_tokens(self) -> None:
        """Raises ConfigurationError naming each credential that is missing or in a wrong field."""
        kinds = (
            ("SLACK_BOT_TOKEN", self.slack_bot_token, "xoxb-", "OAuth & Permissions"),
            ("SLACK_APP_TOKEN", self.slack_app_token, "xapp-", "Basic Information"),
        )
        problems = []
        for name, secret, prefix, page in kinds:
            value = secret.get_secret_value()
            if value and not value.startswith(prefix):
                problems.append(f'{name} must begin with {prefix} (the app\'s page "{page}")')
        if not self.slack_bot_token.get_secret_value():
            problems.append('SLACK_BOT_TOKEN is missing (the app\'s page "OAuth & Permissions")')
        if not self.socket_mode and not self.slack_signing_secret.get_secret_value():
            problems.append(
                "SLACK_APP_TOKEN (Socket Mode) or SLACK_SIGNING_SECRET (signed HTTP) is missing"
            )
        if not self.openrouter_api_key.get_secret_value():
            problems.append("OPENROUTER_API_KEY is missing (a local model takes any value)")
        if problems:
            raise ConfigurationError("; ".join(problems) + ". See the settings in README.md.")

    def programs_of(self, repository: str) -> tuple[str, ...]:
        """Returns the programs that agents of this repository (`owner/name`) may run as well."""
        scopes = {"", repository.lower(), repository.lower().partition("/")[0] + "/*"}
        entries = (word.rpartition(":") for word in self.command_allow)
        return tuple(program for scope, _, program in entries if scope.lower() in scopes)

    @property
    def has_slack(self) -> bool:
        """True when any Slack credential is set; without one, the playground replaces Slack."""
        tokens = (self.slack_bot_token, self.slack_app_token, self.slack_signing_secret)
        return any(token.get_secret_value() for token in tokens)

    @property
    def socket_mode(self) -> bool:
        """Socket Mode when there is an app-level token, signed HTTP otherwise."""
        return bool(self.slack_app_token.get_secret_value())

    @property
    def database(self) -> str:
        """The database's address; SQLite in the data directory unless one is set."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data_dir / 'threadsmith.db'}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for redaction; of a list, each one."""
        values = [getattr(self, name) for name in type(self).model_fields]
        secrets = [v.get_secret_value() for v in values if isinstance(v, SecretStr)]
        secrets += self.secrets_key.get_secret_value().split(",")
        password = urlsplit(self.database_url).password if "@" in self.database_url else None
        secrets.append(unquote(password or ""))
        return tuple(dict.fromkeys(value.strip() for value in secrets if value.strip()))
