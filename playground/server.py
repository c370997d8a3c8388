"""The whole playground in one block: workspace, scripted model and git host on free ports."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from playground.event_feed import EventFeed
from playground.git_server import GitServer, GitSettings, git_running
from playground.model.catalog import listing
from playground.model.server import ModelSettings, ScriptedModel, model_running
from playground.page.page_api import Page
from playground.page.snapshot import PageSettings
from playground.slack.server import slack_running
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.user_client import UserClient


@dataclass(frozen=True, slots=True)
class PlaygroundSettings:
    """Names the addresses and the settings of the three servers. Port 0 takes a free one.

    A port that is taken is an error, unless one of the `spare_ports` after it is free. `data`
    keeps the git repositories; None keeps them in a folder that goes away at the end.
    """

    host: str = "127.0.0.1"
    slack_port: int = 0
    model_port: int = 0
    git_port: int = 0
    spare_ports: int = 0
    data: Path | None = None
    slack: SlackSettings = field(default_factory=SlackSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
    git: GitSettings = field(default_factory=GitSettings)
    page: PageSettings = field(default_factory=PageSettings)


@dataclass(frozen=True, slots=True)
class Playground:
    """A running playground. Everything that happens in its three servers enters `feed`."""

    settings: PlaygroundSettings
    feed: EventFeed
    slack: SlackWorkspace
    model: ScriptedModel
    git: GitServer

    @property
    def page_url(self) -> str:
        """The address of the page for a browser."""
        return f"{self.slack.trigger_tokens.base_url}/"

    @property
    def slack_url(self) -> str:
        """The value of SLACK_API_URL, with the slash at the end."""
        return f"{self.slack.trigger_tokens.base_url}/api/"

    @property
    def model_url(self) -> str:
        """The value of OPENROUTER_BASE_URL."""
        return self.model.url

    @property
    def git_url(self) -> str:
        """The value of GITHUB_URL."""
        return self.git.url

    @property
    def bot_token(self) -> str:
        return self.settings.slack.bot_token

    @property
    def app_token(self) -> str:
        return self.settings.slack.app_token

    @property
    def signing_secret(self) -> str:
        return self.settings.slack.signing_secret

    @property
    def model_key(self) -> str:
        return self.settings.model.api_key

    @property
    def git_token(self) -> str:
        return self.settings.git.token

    def environment(self) -> dict[str, str]:
        """The settings that point the product at this playground."""
        return {
            "SLACK_API_URL": self.slack_url,
            "SLACK_BOT_TOKEN": self.bot_token,
            "SLACK_APP_TOKEN": self.app_token,
            "SLACK_SIGNING_SECRET": self.signing_secret,
            "OPENROUTER_BASE_URL": self.model_url,
            "OPENROUTER_API_KEY": self.model_key,
            "GITHUB_URL": self.git_url,
            "GITHUB_API_URL": f"{self.git_url}/api/v3",
            "GITHUB_TOKEN": self.git_token,
        }

    def person(self, name: str) -> UserClient:
        """Return a person of the workspace by name; raises KeyError for an unknown one."""
        return UserClient(self.slack, self.slack.state.user(name))


@asynccontextmanager
async def running(settings: PlaygroundSettings | None = None) -> AsyncIterator[Playground]:
    """Run the three servers for the length of a block."""
    settings = settings or PlaygroundSettings()
    feed = EventFeed()
    host = settings.host

    def ports(first: int) -> Sequence[int]:
        return range(first, first + settings.spare_ports + 1) if first else (0,)

    async with AsyncExitStack() as stack:
        data = settings.data
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        git = await stack.enter_async_context(
            git_running(settings.git, data / "git", feed, host, ports(settings.git_port))
        )
        model = await stack.enter_async_context(
            model_running(settings.model, feed, host, ports(settings.model_port))
        )

        def add_page(app: web.Application, workspace: SlackWorkspace) -> None:
            models = [entry["id"] for entry in listing(model.scenarios.names(), ())]
            Page(workspace, git, models, settings.page).add_routes(app)

        slack = await stack.enter_async_context(
            slack_running(settings.slack, feed, host, ports(settings.slack_port), add_page)
        )
        git.page_url = f"{slack.trigger_tokens.base_url}/"
        yield Playground(settings, feed, slack, model, git)
