"""A GitHub App's tokens: one for each repository, for an hour, minted when it is needed."""

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
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.upstream import MAX_API_ANSWER_BYTES
from bot.shared_answers import SharedAnswers

PERMISSIONS = {"contents": "write", "pull_requests": "write"}
RENEW_SECONDS = 300.0
MOST_KEPT = 1_000  # a forgotten token is asked for again
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
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
    """Asks the git host's API for tokens, each for one repository, and keeps them in memory."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        app_id: str,
        key: RSAPrivateKey,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._session = session
        self._api_url = api_url
        self._app_id = app_id
        self._key = key
        self._clock = clock
        self._kept: LRUCache[RepoRef, _Token] = LRUCache(MOST_KEPT)
        self._asked: SharedAnswers[RepoRef, _Token] = SharedAnswers()

    @classmethod
    def of(cls, settings: Settings, session: aiohttp.ClientSession) -> Self | None:
        """The tokens of the App that the settings name, if they do; raises ConfigurationError."""
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
        return cls(session, settings.github_api_url, settings.github_app_id, key)

    async def token(self, repo: RepoRef) -> SecretStr:
        """A token that reads and writes this repository; raises RepositoryError."""
        kept = self._kept.get(repo)
        if kept is None or kept.expires_at.timestamp() - self._clock() < RENEW_SECONDS:
            kept = await self._asked.get(repo, lambda: self._minted(repo))
        return kept.token

    async def _minted(self, repo: RepoRef) -> _Token:
        path = f"/repos/{repo}/installation"
        installation = await self._ask("GET", path, repo, _Installation)
        wanted = {"repositories": [repo.name], "permissions": PERMISSIONS}
        path = f"/app/installations/{installation.id}/access_tokens"
        minted = self._kept[repo] = await self._ask("POST", path, repo, _Token, wanted)
        _log.info("the GitHub App has a new token for %s", repo)
        return minted

    async def _ask(
        self,
        method: str,
        path: str,
        repo: RepoRef,
        shape: type[_Shape],
        body: Mapping[str, object] | None = None,
    ) -> _Shape:
        headers = {
            "Authorization": f"Bearer {self._signed()}",
            "Accept": "application/vnd.github+json",
            "User-Agent": "threadsmith",
        }
        try:
            async with self._session.request(
                method,
                self._api_url + path,
                json=body,
                headers=headers,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as answer:
                found = await read_bounded(answer.content.iter_any(), MAX_API_ANSWER_BYTES)
                if answer.status not in (200, 201):
                    raise _refused(repo, answer.status, path)
                return shape.model_validate_json(found)
        except ValidationError:
            # Its text would show what came, which may be a token.
            raise RepositoryError(
                f"The git host gave no token for `{repo}`. Ask an admin to check GITHUB_API_URL.",
                f"{path} was answered with another shape",
            ) from None
        except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
            raise RepositoryError(
                "The git host's API does not answer. Try again in a few minutes, or ask an admin "
                "to check GITHUB_API_URL.",
                f"{self._api_url}{path}: {type(error).__name__}: {error}",
            ) from error

    def _signed(self) -> str:
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
    """The private key, of the value or of the file; raises ConfigurationError without its text."""
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
