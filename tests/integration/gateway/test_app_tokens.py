"""A GitHub App's tokens, from an API that a test writes."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.errors import ConfigurationError, RepositoryError
from bot.gateway.git.app_tokens import AppTokens
from bot.gateway.git.github import GithubClient
from tests.integration.gateway.conftest import API, Serving

KEY = rsa.generate_private_key(65_537, 2_048)
WEB = RepoRef("acme", "web")


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Host:
    """The two routes of GitHub's API; `now` is its clock and ours."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0
        self.minted: list[dict[str, object]] = []
        self.claims: list[dict[str, object]] = []
        self.status = 200
        self.body: object = None

    def routes(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/repos/{owner}/{name}/installation", self.installation)
        app.router.add_post("/app/installations/7/access_tokens", self.mint)
        return app

    def check(self, request: web.Request) -> None:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        options = {"verify_exp": False, "verify_iat": False}
        self.claims.append(jwt.decode(token, KEY.public_key(), ["RS256"], options))  # type: ignore[arg-type]

    async def installation(self, request: web.Request) -> web.Response:
        self.check(request)
        if self.body is not None or self.status != 200:
            return web.json_response(self.body, status=self.status)
        return web.json_response({"id": 7, "account": {}})

    async def mint(self, request: web.Request) -> web.Response:
        self.check(request)
        self.minted.append(await request.json())
        expires = datetime.fromtimestamp(self.now + 3_600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        token = f"canary-app-{len(self.minted)}"
        return web.json_response({"token": token, "expires_at": expires}, status=201)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
async def tokens(host: Host, serving: Serving, session: aiohttp.ClientSession) -> AppTokens:
    url = await serving.start(host.routes())
    return AppTokens(GithubClient(session, url), "42", KEY, clock=lambda: host.now)


async def test_a_token_is_for_one_repository_and_kept_until_five_minutes_before_its_end(
    tokens: AppTokens, host: Host
) -> None:
    values = await asyncio.gather(*(tokens.token(API) for _ in range(10)))
    assert {value.get_secret_value() for value in values} == {"canary-app-1"}
    assert (await tokens.token(WEB)).get_secret_value() == "canary-app-2"
    permissions = {"contents": "write", "pull_requests": "write"}
    assert host.minted == [
        {"repositories": [name], "permissions": permissions} for name in ("api", "web")
    ]
    host.now += 3_299
    assert (await tokens.token(API)).get_secret_value() == "canary-app-1"
    host.now += 2
    assert (await tokens.token(API)).get_secret_value() == "canary-app-3"
    assert {claim["iss"] for claim in host.claims} == {"42"}
    assert all(0 < int(str(c["exp"])) - int(str(c["iat"])) <= 600 for c in host.claims)


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "refused the GitHub App"), (404, "not installed for `acme/api`"),
     (422, "Pull requests"), (500, "has a problem")],
)  # fmt: skip
async def test_a_refusal_says_what_to_do(
    tokens: AppTokens, host: Host, status: int, words: str
) -> None:
    host.status, host.body = status, {"message": "no"}
    with pytest.raises(RepositoryError) as caught:
        await tokens.token(API)
    assert words in caught.value.user_text


@pytest.mark.parametrize("body", [[], {}, {"id": "x"}, "html"])
async def test_another_shape_is_an_error_without_its_content(
    tokens: AppTokens, host: Host, body: object
) -> None:
    host.body = body
    with pytest.raises(RepositoryError, match="another shape"):
        await tokens.token(API)


async def test_no_token_and_no_key_reaches_the_log(
    tokens: AppTokens, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await tokens.token(API)
    assert "new token" in caplog.text
    assert "canary" not in caplog.text
    assert "eyJ" not in caplog.text


def by_file(folder: Path, text: str) -> dict[str, object]:
    path = folder / "key.pem"
    path.write_text(text)
    return {"github_app_private_key_file": str(path)}


def by_value(_: Path, text: str) -> dict[str, object]:
    return {"github_app_private_key": SecretStr(text.replace("\n", "\\n"))}


@pytest.mark.parametrize("given", [by_file, by_value])
async def test_the_key_is_read_once_and_checked(
    session: aiohttp.ClientSession,
    tmp_path: Path,
    given: Callable[[Path, str], dict[str, object]],
) -> None:
    def of(text: str) -> AppTokens | None:
        changes = {"github_app_id": "42"} | given(tmp_path, text)
        return AppTokens.of(Settings(_env_file=None).model_copy(update=changes), session)

    assert of(pem())
    for wrong in ("canary", pem(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(ConfigurationError, match="not a private RSA key") as caught:
            of(wrong)
        assert "canary" not in str(caught.value)
        assert "BEGIN" not in str(caught.value)


async def test_half_of_the_settings_is_an_error(session: aiohttp.ClientSession) -> None:
    settings = Settings(_env_file=None)
    assert AppTokens.of(settings, session) is None
    for changes in (
        {"github_app_id": "42"},
        {"github_app_private_key": SecretStr("x")},
        {"github_app_private_key_file": "/nowhere"},
    ):
        with pytest.raises(ConfigurationError, match="GITHUB_APP"):
            AppTokens.of(settings.model_copy(update=changes), session)
    nowhere = {"github_app_id": "42", "github_app_private_key_file": "/nowhere"}
    with pytest.raises(ConfigurationError, match="cannot be read"):
        AppTokens.of(settings.model_copy(update=nowhere), session)


async def test_the_tokens_used_last_are_kept_and_no_more(
    host: Host, serving: Serving, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.gateway.git.app_tokens.MOST_TOKENS", 2)
    url = await serving.start(host.routes())
    tokens = AppTokens(GithubClient(session, url), "42", KEY, lambda: host.now)
    for name in ("api", "web", "api", "docs", "api", "web"):
        await tokens.token(RepoRef("acme", name))
    asked = [str(minted["repositories"]) for minted in host.minted]
    assert asked == ["['api']", "['web']", "['docs']", "['web']"]
