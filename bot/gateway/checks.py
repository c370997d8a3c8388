"""Checks the model provider and the git host for the doctor."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from yarl import URL

from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.health import Finding, FindingError, broken, doubtful, fine
from bot.errors import RepositoryError
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.git.app_tokens import AppTokens
from bot.gateway.git.github import ApiResponse, GithubClient
from bot.gateway.git.host import GitHost
from bot.gateway.model.catalogue import Catalogue
from bot.gateway.upstream import MAX_API_ANSWER_BYTES

LOW_CREDIT_USD = 1.0
_EXPIRES_SOON = timedelta(days=7)
_REFUSED = (401, 403)
_KEY = "Put a key that works into OPENROUTER_API_KEY."
_NEW_RIGHTS = (
    "Make a token that may read and write these repositories (Contents, Pull requests) and put it "
    "into GITHUB_TOKEN."
)
_APP_RIGHTS = (
    "Install the GitHub App on these repositories, with write access to Contents and Pull "
    "requests; GITHUB_APP_ID and the private key must be those of that App."
)


class _Key(BaseModel):
    model_config = ConfigDict(extra="ignore")
    limit_remaining: float | None = None


class _Credits(BaseModel):
    model_config = ConfigDict(extra="ignore")
    total_credits: float
    total_usage: float


class _Permissions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    push: bool = False


class _Repository(BaseModel):
    model_config = ConfigDict(extra="ignore")
    permissions: _Permissions | None = None


async def model_key(session: aiohttp.ClientSession, settings: Settings) -> Finding:
    """Checks that the provider accepts the key, and how much the key may still spend."""
    key = settings.openrouter_api_key
    if not key.get_secret_value():
        return broken("OPENROUTER_API_KEY is not set", "Run `threadsmith setup`.")
    base = settings.openrouter_base_url
    status, body = await _ask_provider(session, f"{base}/key", key)
    if status == 404:  # noqa: PLR2004  (another provider than OpenRouter)
        status, _ = await _ask_provider(session, f"{base}/models", key)
        body = b""
    if status in _REFUSED:
        return broken(f"the provider refuses OPENROUTER_API_KEY ({status})", _KEY)
    if status >= 500 or status == 429:  # noqa: PLR2004
        return broken(f"the provider has a problem ({status})", "Try again in a few minutes.")
    left = _remaining(body)
    status, body = await _ask_provider(session, f"{base}/credits", key)
    account = _unspent(body) if status == 200 else None  # noqa: PLR2004
    known = [usd for usd in (left, account) if usd is not None]
    if not known:
        return fine("the provider takes the key and names no limit")
    usd = min(known)
    if usd <= 0:
        return broken("no credit is left", "Add credit at the provider, or raise the key's limit.")
    if usd < LOW_CREDIT_USD:
        return doubtful(f"${usd:.2f} of credit left", "Add credit at the provider soon.")
    return fine(f"the provider takes the key; ${usd:.2f} of credit left")


async def model_tools(session: aiohttp.ClientSession, settings: Settings) -> Finding:
    """Checks that the provider has the default model, with tools; raises ModelUnusable."""
    catalogue = Catalogue(session, settings.openrouter_base_url, settings.openrouter_api_key)
    model = settings.agent_model
    await catalogue.check_model(model)
    if (await catalogue.listing_of(model)).parameters is None:
        return doubtful(
            f"the provider does not say whether {model} calls tools",
            "Start an agent with a small task and look whether it uses a tool.",
        )
    return fine(f"{model} calls tools")


async def git_access(
    session: aiohttp.ClientSession, settings: Settings, repositories: Sequence[RepoRef]
) -> Finding:
    """Checks that the git host accepts the token, and what it allows on these repositories."""
    apps = AppTokens.of(settings, session)
    token = settings.github_token
    if not apps and not token.get_secret_value():
        return doubtful(
            "no GITHUB_TOKEN: only public repositories, and nothing is pushed", _NEW_RIGHTS
        )
    rights = _APP_RIGHTS if apps else _NEW_RIGHTS
    client = GithubClient(session, settings.github_api_url)
    summary = "a GitHub App" if apps else await _describe_token(client, settings)
    host = GitHost(session, settings.github_url, lambda repo: _token_of(apps, token, repo))
    for repo in repositories:
        try:
            await host.choose_branch(repo, None)
        except RepositoryError as error:
            text = error.user_text.removesuffix(" Nothing was started.")
            return broken(text, rights)
        repo_token = await _token_of(apps, token, repo)
        if not await _may_push(client, settings, repo_token, repo):
            return doubtful(f"{repo}: may be read, not pushed to", rights)
        summary = summary or "the token works"
    if not summary:
        return doubtful(
            "the git host has no API that tells about tokens",
            "Try a repository: `threadsmith doctor --repository owner/name`.",
        )
    named = ", ".join(str(repo) for repo in repositories[:5])
    return fine(f"{summary}; reaches {named}" if named else summary)


async def _describe_token(client: GithubClient, settings: Settings) -> str:
    """Returns what the API tells about the token, "" without an API; raises FindingError."""
    response = await _ask_github(client, settings, "/user", settings.github_token)
    if response.status in _REFUSED:
        raise FindingError(
            broken(f"the git host's API refuses GITHUB_TOKEN ({response.status})", _NEW_RIGHTS)
        )
    if response.status != 200:  # noqa: PLR2004
        return ""
    until = _expiry(response.headers.get("github-authentication-token-expiration", ""))
    if until and until - datetime.now(UTC) < _EXPIRES_SOON:
        raise FindingError(doubtful(f"GITHUB_TOKEN expires on {until:%Y-%m-%d}", "Renew it now."))
    return "the token works" + (f" until {until:%Y-%m-%d}" if until else "")


async def _may_push(
    client: GithubClient, settings: Settings, token: SecretStr, repo: RepoRef
) -> bool:
    """Returns whether the API allows a push; a host without an API passes."""
    response = await _ask_github(client, settings, f"/repos/{repo}", token)
    try:
        repository = _Repository.model_validate_json(response.body or b"{}")
    except ValidationError:
        return True
    allowed = repository.permissions is None or repository.permissions.push
    return allowed or response.status != 200 or not settings.push_branches  # noqa: PLR2004


async def _ask_github(
    client: GithubClient, settings: Settings, path: str, token: SecretStr
) -> ApiResponse:
    try:
        return await client.send("GET", path, token.get_secret_value())
    except RepositoryError as error:
        raise _unreachable(settings.github_api_url, error.__cause__ or error) from error


async def _token_of(apps: AppTokens | None, token: SecretStr, repo: RepoRef) -> SecretStr:
    return await apps.token(repo) if apps else token


async def _ask_provider(
    session: aiohttp.ClientSession, url: str, key: SecretStr
) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {key.get_secret_value()}", "User-Agent": "threadsmith"}
    try:
        async with session.get(url, headers=headers, allow_redirects=False) as response:
            body = await read_bounded(response.content.iter_any(), MAX_API_ANSWER_BYTES)
            return response.status, body
    except (aiohttp.ClientError, BodyTooLargeError) as error:
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: BaseException) -> FindingError:
    return FindingError(
        broken(
            f"{URL(url).origin()} does not answer: {type(error).__name__}",
            "Check the network, the proxy and the address in the settings.",
        )
    )


def _remaining(body: bytes) -> float | None:
    class KeyAnswer(BaseModel):
        data: _Key

    try:
        return KeyAnswer.model_validate_json(body).data.limit_remaining if body else None
    except ValidationError:
        return None


def _unspent(body: bytes) -> float | None:
    class CreditsAnswer(BaseModel):
        data: _Credits

    try:
        credit = CreditsAnswer.model_validate_json(body).data if body else None
    except ValidationError:
        return None
    return credit.total_credits - credit.total_usage if credit else None


def _expiry(text: str) -> datetime | None:
    """Reads GitHub's `2026-12-01 08:00:00 UTC`, or an offset in place of the name."""
    try:
        return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" +", "+"))
    except ValueError:
        return None
