"""Names the checks of the deployment and gives each the parts that it asks; parts define them."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from bot.agents.health_checks import Check, examine
from bot.agents.lifecycle.background_loops import FailingLoop, loops_finding
from bot.app import control_socket
from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.health import Examined, Finding, fine
from bot.errors import EngineError
from bot.gateway import checks as gateway_checks
from bot.redaction import Redactor
from bot.runtime import checks as runtime_checks
from bot.runtime.docker import DockerRuntime
from bot.slack import checks as slack_checks, manifest
from bot.store import checks as store_checks

_MAX_REPOSITORIES = 5
CODE = Path(__file__).parents[2] / "bridge"


@dataclass(slots=True)
class HealthChecks:
    """Examines one deployment; it closes none of the parts that it was given.

    In the bot itself, `sockets` returns how many connections Slack counts for the app, and `loops`
    the background loops that fail again and again; elsewhere the running bot is asked.
    """

    settings: Settings
    session: aiohttp.ClientSession
    runtime: DockerRuntime
    sockets: Callable[[], int] | None = None
    loops: Callable[[], Sequence[FailingLoop]] | None = None

    async def examine(
        self,
        channels: Sequence[str] = (),
        repositories: Sequence[RepoRef] = (),
        *,
        only: Sequence[str] = (),
    ) -> Sequence[Examined]:
        """Runs every check, or `only` those. Without names, the known channels and repositories."""
        checks = self.checks(channels, repositories)
        return await examine({name: checks[name] for name in only or checks})

    def checks(
        self, channels: Sequence[str] = (), repositories: Sequence[RepoRef] = ()
    ) -> Mapping[str, Check]:
        """Returns the checks by their names, in the order in which a person reads them."""
        settings, session, runtime = self.settings, self.session, self.runtime
        bot = self.bot_client()
        app = self._slack(settings.slack_app_token)
        database, data_dir = settings.database, settings.data_dir.resolve()
        tried = repositories or _allowed_repositories(settings)
        return {
            "settings": self._settings,
            "Slack bot token": lambda: slack_checks.bot_token(bot, manifest.scopes()),
            "Slack app token": lambda: slack_checks.app_token(app),
            "Slack events": lambda: store_checks.events(database, data_dir),
            "Slack sockets": self._sockets,
            "Slack channels": lambda: self._channels(channels),
            "background loops": self._loops,
            "clock": lambda: slack_checks.clock(bot),
            "engine": lambda: runtime_checks.engine(runtime, settings),
            "image": lambda: runtime_checks.image(runtime, settings, CODE),
            "network": lambda: runtime_checks.network(runtime, settings),
            "disk": self._disk,
            "database": lambda: store_checks.database(database),
            "model key": lambda: gateway_checks.model_key(session, settings),
            "default model": lambda: gateway_checks.model_tools(session, settings),
            "git": lambda: gateway_checks.git_access(session, settings, tried),
        }

    def bot_client(self) -> slack_checks.Client:
        """Returns a client of Slack with the bot's token."""
        return self._slack(self.settings.slack_bot_token)

    def _slack(self, token: SecretStr) -> slack_checks.Client:
        return slack_checks.client_for(token, self.settings.slack_api_url, self.session)

    async def _settings(self) -> Finding:
        self.settings.check_tokens()
        return fine("complete, and each token is of the right kind")

    async def _sockets(self) -> Finding:
        return slack_checks.sockets(self.sockets() if self.sockets else None)

    async def _loops(self) -> Finding:
        if self.loops is not None:
            return loops_finding(self.loops())
        return loops_finding(await control_socket.failing_loops(self.settings.data_dir.resolve()))

    async def _channels(self, named: Sequence[str]) -> Finding:
        bot = self.bot_client()
        known = named or self.settings.allowed_channels
        known = known or await store_checks.channels(self.settings.database)
        return await slack_checks.in_channels(bot, await slack_checks.name_of(bot), known)

    async def _disk(self) -> Finding:
        folders = [self.settings.data_dir.resolve()]
        with contextlib.suppress(EngineError):  # which has a check of its own
            folders.append((await self.runtime.survey(self.settings.bridge_image)).root)
        return await store_checks.disk_space(folders)


def hidden(examined: Sequence[Examined], settings: Settings) -> Sequence[Examined]:
    """Returns the findings without any secret value of the settings."""
    redact = Redactor(settings.secrets)
    return [
        Examined(
            check.check,
            Finding(
                check.finding.verdict,
                redact(check.finding.state),
                redact(check.finding.next_step),
            ),
            check.seconds,
        )
        for check in examined
    ]


def _allowed_repositories(settings: Settings) -> Sequence[RepoRef]:
    names = [name for name in settings.allowed_repositories if not name.endswith("/*")]
    return [RepoRef.parse(name) for name in names[:_MAX_REPOSITORIES]]
