"""The doctor's questions to the model provider and the git host."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError
from yarl import URL

from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.health import Finding, FindingError, broken, doubtful, fine
from bot.errors import RepositoryError
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.git.app_tokens import AppTokens
from bot.gateway.git.host import GitHost
from bot.gateway.git.repository import RepositoryCheck
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
    """Whether the provider takes the key, and how much it may still spend."""
    key = settings.openrouter_api_key
    if not key.get_secret_value():
        return broken("OPENROUTER_API_KEY is not set", "Run `threadsmith setup`.")
    base = settings.openrouter_base_url
    status, body, _ = await _ask(session, f"{base}/key", key)
    if status == 404:  # noqa: PLR2004  (another provider than OpenRouter)
        status, _, _ = await _ask(session, f"{base}/models", key)
        body = None
    if status in _REFUSED:
        return broken(f"the provider refuses OPENROUTER_API_KEY ({status})", _KEY)
    if status >= 500 or status == 429:  # noqa: PLR2004
        return broken(f"the provider has a problem ({status})", "Try again in a few minutes.")
    left = _remaining(body)
    status, body, _ = await _ask(session, f"{base}/credits", key)
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
    """Whether the default model is there and can call tools; raises ModelUnusable."""
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
    """Whether the token is taken, and what it may do with these repositories."""
    apps = AppTokens.of(settings, session)
    token = settings.github_token
    if not apps and not token.get_secret_value():
        return doubtful(
            "no GITHUB_TOKEN: only public repositories, and nothing is pushed", _NEW_RIGHTS
        )
    rights = _APP_RIGHTS if apps else _NEW_RIGHTS
    said = "a GitHub App" if apps else await _account(session, settings)
    host = GitHost(session, settings.github_url, lambda repo: _token_of(apps, token, repo))
    for repo in repositories:
        try:
            await RepositoryCheck(host).branch(repo, None)
        except RepositoryError as error:
            text = error.user_text.removesuffix(" Nothing was started.")
            return broken(text, rights)
        if not await _may_push(session, settings, await _token_of(apps, token, repo), repo):
            return doubtful(f"{repo}: may be read, not pushed to", rights)
        said = said or "the token works"
    if not said:
        return doubtful(
            "the git host has no API that tells about tokens",
            "Try a repository: `threadsmith doctor --repository owner/name`.",
        )
    named = ", ".join(str(repo) for repo in repositories[:5])
    return fine(f"{said}; reaches {named}" if named else said)


async def _account(session: aiohttp.ClientSession, settings: Settings) -> str:
    """What the API says about the token, "" if there is none; raises FindingError."""
    url = f"{settings.github_api_url}/user"
    status, _, headers = await _ask(session, url, settings.github_token)
    if status in _REFUSED:
        raise FindingError(
            broken(f"the git host's API refuses GITHUB_TOKEN ({status})", _NEW_RIGHTS)
        )
    if status != 200:  # noqa: PLR2004
        return ""
    until = _expiry(headers.get("github-authentication-token-expiration", ""))
    if until and until - datetime.now(UTC) < _EXPIRES_SOON:
        raise FindingError(doubtful(f"GITHUB_TOKEN expires on {until:%Y-%m-%d}", "Renew it now."))
    return "the token works" + (f" until {until:%Y-%m-%d}" if until else "")


async def _may_push(
    session: aiohttp.ClientSession, settings: Settings, token: SecretStr, repo: RepoRef
) -> bool:
    """What the API says; a host without one is believed."""
    status, body, _ = await _ask(session, f"{settings.github_api_url}/repos/{repo}", token)
    try:
        found = _Repository.model_validate_json(body or b"{}")
    except ValidationError:
        return True
    allowed = found.permissions is None or found.permissions.push
    return allowed or status != 200 or not settings.push_branches  # noqa: PLR2004


async def _token_of(apps: AppTokens | None, token: SecretStr, repo: RepoRef) -> SecretStr:
    return await apps.token(repo) if apps else token


async def _ask(
    session: aiohttp.ClientSession, url: str, token: SecretStr
) -> tuple[int, bytes | None, Any]:
    headers = {"Authorization": f"Bearer {token.get_secret_value()}", "User-Agent": "threadsmith"}
    try:
        async with session.get(url, headers=headers, allow_redirects=False) as answer:
            return (
                answer.status,
                await read_bounded(answer.content.iter_any(), MAX_API_ANSWER_BYTES),
                answer.headers,
            )
    except (aiohttp.ClientError, BodyTooLargeError) as error:
        raise FindingError(
            broken(
                f"{URL(url).origin()} does not answer: {type(error).__name__}",
                "Check the network, the proxy and the address in the settings.",
            )
        ) from error


def _remaining(body: bytes | None) -> float | None:
    class Answer(BaseModel):
        data: _Key

    try:
        return Answer.model_validate_json(body).data.limit_remaining if body else None
    except ValidationError:
        return None


def _unspent(body: bytes | None) -> float | None:
    class Answer(BaseModel):
        data: _Credits

    try:
        found = Answer.model_validate_json(body).data if body else None
    except ValidationError:
        return None
    return found.total_credits - found.total_usage if found else None


def _expiry(text: str) -> datetime | None:
    """GitHub writes `2026-12-01 08:00:00 UTC`, or an offset in place of the name."""
    try:
        return datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" +", "+"))
    except ValueError:
        return None
