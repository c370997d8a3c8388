"""Assembles the gateway: the one server on the host that containers send requests through."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from bot.agents.access.billing import Billing
from bot.agents.ports.people import Credentials
from bot.config import Settings
from bot.domain.agent import (
    RepoRef,
    SecretScope,
)
from bot.domain.container import Access
from bot.domain.egress import Denial
from bot.domain.model_offer import ModelOffer
from bot.domain.secrets import ModelKey
from bot.errors import ConfigurationError
from bot.gateway.auth import GatewayAuth, ReadAgent, Tokens, load_tokens
from bot.gateway.connections import ConnectionLimits, ConnectionTable
from bot.gateway.egress.allow_list import AddressList, AllowList
from bot.gateway.egress.connector import Connector, UpstreamProxies, resolve
from bot.gateway.egress.proxy import EgressProxy
from bot.gateway.git.app_tokens import AppTokens
from bot.gateway.git.github import GithubClient, HostPulls, RepositoryList
from bot.gateway.git.host import GitHost
from bot.gateway.git.proxy import PREFIX as GIT_PREFIX, GitProxy
from bot.gateway.git.push_policy import PushPolicy
from bot.gateway.listeners import AgentListeners, SharedPort
from bot.gateway.model.catalogue import Catalogue, own_prices
from bot.gateway.model.completion_client import CompletionClient
from bot.gateway.model.proxy import PREFIX as MODEL_PREFIX, ModelProxy, ProxyLimits
from bot.gateway.socket_dirs import SocketDirStore
from bridge.container import FORWARDER_GATEWAY

_log = logging.getLogger(__name__)


class HostGateway:
    """Implements the Gateway port. Holds the credentials; containers hold tokens of their own.

    `credentials` are those that people have stored; where there is none, the settings' own count.
    `session` makes the calls to the provider and the git host, and stays the caller's to close.
    Raises ConfigurationError when DATA_DIR cannot keep its secret.
    """

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        session: aiohttp.ClientSession,
        limits: ConnectionLimits | None = None,
    ) -> None:
        self.tokens: Tokens = load_tokens(data_dir)
        self._wanted_port = settings.gateway_port
        self._memory = data_dir / "gateway.json"
        self._auth = GatewayAuth(self.tokens)
        self._settings = settings
        self.credentials: Credentials | None = None
        self._app_tokens = AppTokens.of(settings, session)
        github = GithubClient(session, settings.github_api_url)
        self.pulls = HostPulls(github, settings.github_url, self._token_of)
        self.writer = CompletionClient(session, self.access)
        self._git_host = GitHost(session, settings.github_url, self._token_of)
        pushes = PushPolicy(self._git_host, data_dir, settings.push_limit_bytes)
        self._git = GitProxy(self._auth, self._git_host, pushes if settings.push_branches else None)
        self._repositories = RepositoryList(github, settings.github_token)
        base_url, key = settings.openrouter_base_url, settings.openrouter_api_key
        self._catalogue = Catalogue(session, base_url, key, own_prices=own_prices(settings))
        proxy_limits = ProxyLimits.of(settings)
        self._model = ModelProxy(
            self._auth, self._catalogue, session, base_url, self._key_of, proxy_limits
        )
        self._table = ConnectionTable(limits)
        self._socket_dirs = SocketDirStore(data_dir / "sockets")
        self._listeners: AgentListeners | None = None
        self._port: SharedPort | None = None
        self._address = ""
        self._sealed = False
        self.denied: Callable[[str, Denial], None] = _log_denial

    @property
    def _routes(self) -> list[web.RouteDef]:
        return [*self._model.routes(), *self._git.routes()]

    def read_agents_by(self, read_agent: ReadAgent) -> None:
        """Sets how to read the branch that an agent may push; until then nobody pushes."""
        self._auth.read_agent = read_agent

    def account_with(self, billing: Billing) -> None:
        """Reserves budget for each model call at `billing`, and reports what the call cost."""
        self._model.billing = billing

    async def _key_of(self, agent_id: str) -> ModelKey:
        own = await self.credentials.model_key(agent_id) if self.credentials else None
        return own or ModelKey(self._settings.openrouter_api_key, SecretScope.DEPLOYMENT)

    async def _token_of(self, repo: RepoRef) -> SecretStr:
        own = await self.credentials.git_token(repo) if self.credentials else None
        if own is None and self._app_tokens:
            return await self._app_tokens.token(repo)
        return own or self._settings.github_token

    async def start(self, host: str, advertised: str | None = None) -> None:
        """Listens on `host`; containers get the name `advertised`, if they see it by another one.

        The port is GATEWAY_PORT, or the one of the last start, since running containers have it
        in their environment, or a free one. Raises ConfigurationError.
        """
        self._listeners = AgentListeners(self._routes, self._auth, self._table)
        port = SharedPort(self._auth, self._listeners, self._table, self._memory)
        number = await port.listen(self._routes, host, self._wanted_port)
        self._port = port
        name = advertised or host
        self._address = f"http://{f'[{name}]' if ':' in name else name}:{number}"
        _log.info("the gateway listens on %s port %d", host, number)
        await self._open_all(self._listeners)

    async def start_sealed(self) -> None:
        """Listens on sockets of each agent only; raises ConfigurationError, EngineError."""
        self._socket_dirs.prepare_root()
        self._listeners = AgentListeners(
            self._routes, self._auth, self._table, self._socket_dirs, self._egress()
        )
        self._address = f"http://{FORWARDER_GATEWAY}"
        self._sealed = True
        await self._open_all(self._listeners)
        await self._listeners.remove_leftovers()
        _log.info("the gateway listens on the sockets of each agent")

    async def _open_all(self, listeners: AgentListeners) -> None:
        """Opens the listeners of agents whose containers worked on while the bot was down."""
        for agent_id in self._auth.admitted_agents:
            await listeners.open_listener(agent_id)

    def _egress(self) -> EgressProxy:
        allowed = AllowList.of(self._settings)
        addresses = AddressList(self._settings.egress_private_networks)
        proxies = UpstreamProxies.of_environment()
        connector = Connector(allowed, addresses, resolve, proxies)
        return EgressProxy(connector, self._table, self._on_denial)

    def _on_denial(self, agent_id: str, denial: Denial) -> None:
        self.denied(agent_id, denial)

    async def stop(self) -> None:
        """Stops listening and cuts what is under way; safe to call twice."""
        if self._port:
            await self._port.stop()
        if self._listeners:
            await self._listeners.close_all()
        self._table.drop_all()

    def access(self, agent_id: str, repo: RepoRef) -> Access:
        """Returns the addresses and the token of one agent; the gateway must have been started."""
        if not self._address:
            raise ConfigurationError("the gateway was asked for its address before it was started")
        folders = self._socket_dirs.dirs_of(agent_id) if self._sealed else None
        return Access(
            model_base_url=self._address + MODEL_PREFIX,
            clone_url=f"{self._address}{GIT_PREFIX}/{repo}.git",
            token=self.tokens.gateway_token(agent_id),
            folders=folders,
        )

    async def open(self, agent_id: str, repo: RepoRef) -> None:
        """Admits this agent for this repository, and opens its listener; raises EngineError."""
        self._auth.admit_agent(agent_id, repo)
        if self._listeners:
            await self._listeners.open_listener(agent_id)

    async def close(self, agent_id: str) -> None:
        """Refuses the agent's requests from now on, and closes its listener."""
        self._auth.dismiss_agent(agent_id)
        self._model.forget_agent(agent_id)
        if self._listeners:
            await self._listeners.close_listener(agent_id)

    async def check_repository(self, repo: RepoRef, branch: str | None) -> str:
        """Returns the branch to start from; raises RepositoryError."""
        return await self._git_host.choose_branch(repo, branch)

    @property
    def lists_repositories(self) -> bool:
        """Returns whether there is a token to list repositories with."""
        return self._repositories.is_available

    async def repositories(self) -> Sequence[str]:
        """Returns the names of what the token can see; none when the host does not tell."""
        return await self._repositories.names()

    async def check_model(self, model: str) -> None:
        """Raises ModelUnusable when the provider is known not to serve this model with tools."""
        await self._catalogue.check_model(model)

    async def may_push(self, repo: RepoRef) -> bool:
        """Checks that pushing is on, and that there is a token that might do it."""
        if not self._settings.push_branches:
            return False
        return self._app_tokens is not None or bool((await self._token_of(repo)).get_secret_value())

    async def models(self) -> Sequence[ModelOffer]:
        """Returns what the provider lists; raises UserError when it shows no list."""
        return await self._catalogue.offers()


def _log_denial(agent_id: str, denial: Denial) -> None:
    _log.info("agent %s was refused %s:%d", agent_id, denial.host, denial.port)
