"""Settings of a workspace: tokens, scopes, subscriptions, delays, limits."""

import time
from collections.abc import Callable
from dataclasses import dataclass

SCOPES = (
    "app_mentions:read,assistant:write,channels:history,channels:read,chat:write,commands,"
    "files:read,files:write,groups:history,groups:read,im:history,im:read,im:write,mpim:history,"
    "mpim:read,reactions:read,reactions:write,team:read,users:read,users:read.email"
)
EVENTS = frozenset(
    {
        "agent_session_stopped",
        "app_home_opened",
        "app_mention",
        "message",
        "reaction_added",
    }
)


@dataclass(frozen=True, slots=True)
class SlackSettings:
    """One workspace with one app installed.

    `request_url` switches from Socket Mode to signed HTTP requests. `sessions_error` is what
    `agents.sessions.*` answers (None: the methods work). `events` are the subscribed event types;
    `refused_blocks` are the types of blocks that messages cannot have here.
    """

    bot_token: str = "xoxb-playground-canary"
    app_token: str = "xapp-playground-canary"
    signing_secret: str = "playground-signing-secret-canary"
    verification_token: str = "playground-verification-canary"
    scopes: str = SCOPES
    events: frozenset[str] = EVENTS
    request_url: str | None = None
    sessions_error: str | None = None
    refused_blocks: frozenset[str] = frozenset()
    ack_timeout_seconds: float = 3.0
    retry_delays_seconds: tuple[float, ...] = (0.0, 60.0, 300.0)
    trigger_seconds: float = 3.0
    response_url_seconds: float = 1_800.0
    limits_enabled: bool = True
    post_burst: int = 4
    clock: Callable[[], float] = time.time
