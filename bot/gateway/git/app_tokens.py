"""Mints the tokens of a GitHub App: one for each repository, for an hour, when it is needed."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

import aiohttp
import jwt
from cachetools import LRUCache
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.errors import ConfigurationError, RepositoryError
from bot.gateway.git.github import GithubClient
from bot.shared_answers import SharedAnswers

PERMISSIONS = {"contents": "write", "pull_requests": "write"}
RENEW_SECONDS = 300.0
MOST_TOKENS = 1_000  # a token beyond these is minted again
# GitHub takes ten minutes at the most, and clocks differ.
_JWT_SECONDS, _SKEW_SECONDS = 540, 60

_log = logging.getLogger(__name__)


class _Installation(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: int


class _Token(BaseModel):
    model_config = ConfigDict(extra="ignore")
    token: SecretStr
    expires_at: datetime


_Shape = TypeVar("_Shape", bound=BaseModel)


class AppTokens:
    """Mints tokens at the git host's API, each for one repository, and caches them in memory."""

    def __init__(
        self,
        client: GithubClient,
        app_id: str,
        key: RSAPrivateKey,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._app_id = app_id
        self._key = key
        self._clock = clock
        self._tokens: LRUCache[RepoRef, _Token] = LRUCache(MOST_TOKENS)
        self._asked: SharedAnswers[RepoRef, _Token] = SharedAnswers()

    @classmethod
    def of(cls, settings: Settings, session: aiohttp.ClientSession) -> Self | None:
        """Builds it for the App that the settings name, if any; raises ConfigurationError."""
        value = settings.github_app_private_key.get_secret_value()
        file = settings.github_app_private_key_file
        if not settings.github_app_id and not value and not file:
            return None
        if not settings.github_app_id or not (value or file):
            raise ConfigurationError(
                "A GitHub App needs GITHUB_APP_ID and its private key: set "
                "GITHUB_APP_PRIVATE_KEY_FILE, or GITHUB_APP_PRIVATE_KEY."
            )
        key = _read_key(value, file)
        client = GithubClient(session, settings.github_api_url)
        return cls(client, settings.github_app_id, key)

    async def token(self, repo: RepoRef) -> SecretStr:
        """Returns a token that reads and writes this repository; raises RepositoryError."""
        cached = self._tokens.get(repo)
        if cached is None or cached.expires_at.timestamp() - self._clock() < RENEW_SECONDS:
            cached = await self._asked.get(repo, lambda: self._mint(repo))
        return cached.token

    async def _mint(self, repo: RepoRef) -> _Token:
        path = f"/repos/{repo}/installation"
        installation = await self._send("GET", path, repo, _Installation)
        wanted = {"repositories": [repo.name], "permissions": PERMISSIONS}
        path = f"/app/installations/{installation.id}/access_tokens"
        minted = self._tokens[repo] = await self._send("POST", path, repo, _Token, wanted)
        _log.info("the GitHub App has a new token for %s", repo)
        return minted

    async def _send(
        self,
        method: str,
        path: str,
        repo: RepoRef,
        shape: type[_Shape],
        body: Mapping[str, object] | None = None,
    ) -> _Shape:
        response = await self._client.send(method, path, self._signed_claims(), body=body)
        if response.status not in (200, 201):
            raise _refused(repo, response.status, path)
        try:
            return shape.model_validate_json(response.body)
        except ValidationError:
            # Its text would show what came, which may be a token.
            raise RepositoryError(
                f"The git host gave no token for `{repo}`. Ask an admin to check GITHUB_API_URL.",
                f"{path} was answered with another shape",
            ) from None

    def _signed_claims(self) -> str:
        now = int(self._clock())
        claims = {"iat": now - _SKEW_SECONDS, "exp": now + _JWT_SECONDS, "iss": self._app_id}
        return jwt.encode(claims, self._key, algorithm="RS256")


def _refused(repo: RepoRef, status: int, path: str) -> RepositoryError:
    log_text = f"{path} answered {status}"
    match status:
        case 401 | 403:
            text = (
                "The git host refused the GitHub App. Ask an admin to check GITHUB_APP_ID, its "
                "private key and the machine's clock."
            )
        case 404:
            text = f"The GitHub App is not installed for `{repo}`. Ask an admin to add it there."
        case 422:
            text = (
                f"The GitHub App may not write to `{repo}`. Ask an admin to give it the "
                'permissions "Contents" and "Pull requests".'
            )
        case _:
            text = f"The git host's API has a problem ({status}). Try again in a few minutes."
    return RepositoryError(text, log_text)


def _read_key(value: str, file: str) -> RSAPrivateKey:
    """Reads the private key from the value or the file; raises ConfigurationError without it."""
    name = "GITHUB_APP_PRIVATE_KEY" if value else "GITHUB_APP_PRIVATE_KEY_FILE"
    try:
        pem = value.replace("\\n", "\n").encode() if value else Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{name}: {file} cannot be read ({error.strerror}).") from error
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigurationError(
            f"{name} is not a private RSA key in PEM form without a password. Download a new one "
            "from the App's page."
        )
    return key
