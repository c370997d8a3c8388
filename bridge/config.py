"""Reads the bridge's settings from the environment of the container, once at start."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bridge.container import BRIDGE_PORT, STATE_FOLDER, WORKSPACE_FOLDER
from bridge.protocol.limits import SMALLEST_CONTEXT_TOKENS


class BridgeSettings(BaseModel):
    """Holds the settings of one container. Defaults suit the image."""

    model_config = ConfigDict(frozen=True)
    host: str = "0.0.0.0"  # noqa: S104  (the container's own interface; the host publishes it)
    port: int = BRIDGE_PORT
    # A path to listen at, instead of host and port, and the group that may connect there.
    bridge_socket: Path | None = None
    socket_gid: int | None = Field(default=None, ge=0)
    # The connection to the launcher, which hands over those to the runner. Without one the bridge
    # does the runner's work itself.
    launcher_fd: int | None = Field(default=None, ge=3)
    bridge_token: SecretStr = Field(min_length=16)
    openrouter_api_key: SecretStr
    openrouter_base_url: str
    git_token: SecretStr | None = None
    workspace_dir: Path = Path(WORKSPACE_FOLDER)
    state_dir: Path = Path(STATE_FOLDER)
    command_timeout_seconds: float = Field(default=30.0, gt=0)
    command_allow: tuple[str, ...] = ()
    clone_timeout_seconds: float = Field(default=600.0, gt=0)
    model_progress_timeout_seconds: float = Field(default=120.0, gt=0)
    # About two and a half minutes of waiting: longer than the bot, whose gateway carries the
    # calls, takes to be started again.
    model_max_attempts: int = Field(default=12, ge=1)
    model_retry_seconds: float = Field(default=1.0, gt=0)
    model_context_tokens: int | None = Field(default=None, ge=SMALLEST_CONTEXT_TOKENS)
    fallback_models: tuple[str, ...] = ()
    summary_model: str | None = None
    plan_model: str | None = None
    # Somebody only reads what is here: no task begins, and none goes on.
    hold_tasks: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Reads the settings; a field `x_y` comes from the variable `X_Y`.

        Raises pydantic.ValidationError naming the missing or wrong variable.
        """
        source = os.environ if environ is None else environ
        values: dict[str, object] = {
            name: source[name.upper()] for name in cls.model_fields if source.get(name.upper())
        }
        for name in ("command_allow", "fallback_models"):
            listed = values.get(name)
            if isinstance(listed, str):
                words = (word.strip() for word in listed.split(","))
                values[name] = tuple(word for word in words if word)
        return cls.model_validate(values)
