"""Files are fetched from Slack's own host, bounded, and nobody else gets the token."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from bot.errors import FileUnavailable
from bot.slack.files import SlackFiles
from playground.event_feed import EventFeed
from playground.free_port import listening
from playground.slack.server import slack_running
from playground.slack.slack_settings import SCOPES, SlackSettings
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.user_client import UserClient

TOKEN = SlackSettings().bot_token


@dataclass
class FilesBench:
    slack: SlackWorkspace
    files: SlackFiles

    async def upload(self, name: str, content: bytes, channel: str = "general") -> str:
        ana = UserClient(self.slack, self.slack.state.user("ana"))
        await ana.upload(name, content, channel=channel)
        return list(self.slack.state.files)[-1]


@pytest.fixture
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[FilesBench]:
    scopes = getattr(request, "param", SCOPES)
    async with (
        slack_running(SlackSettings(scopes=scopes, limits_enabled=False), EventFeed()) as slack,
        aiohttp.ClientSession() as session,
    ):
        client = AsyncWebClient(token=TOKEN, base_url=f"{slack.trigger_tokens.base_url}/api/")
        yield FilesBench(slack, SlackFiles(client, session, SecretStr(TOKEN)))


@pytest.mark.parametrize(("name", "content"), [("a b.png", b"\x89PNG"), ("p.html", b"<p>")])
async def test_a_shared_file_is_fetched(bench: FilesBench, name: str, content: bytes) -> None:
    file_id = await bench.upload(name, content)
    assert await bench.files.fetch(file_id, 100) == content


async def test_a_file_beyond_the_bound_is_not(bench: FilesBench) -> None:
    file_id = await bench.upload("a.txt", b"x" * 101)
    with pytest.raises(FileUnavailable, match="larger"):
        await bench.files.fetch(file_id, 100)


@pytest.mark.parametrize("bench", [SCOPES.replace("files:read,", "")], indirect=True)
async def test_a_missing_scope_is_named(bench: FilesBench) -> None:
    file_id = await bench.upload("a.txt", b"x")
    with pytest.raises(FileUnavailable, match="missing_scope") as caught:
        await bench.files.fetch(file_id, 100)
    assert "files:read" in caught.value.user_text


async def test_what_is_gone_or_not_shared_with_the_app_is_unavailable(bench: FilesBench) -> None:
    hidden = await bench.upload("a.txt", b"x", "random")
    for file_id in ("F404", hidden):
        with pytest.raises(FileUnavailable, match=r"Slack does not hand it out|file_not_found"):
            await bench.files.fetch(file_id, 100)


@dataclass
class Elsewhere:
    """A host that is not Slack's, and what it was sent."""

    url: str = ""
    seen: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(str(request.headers))
        return web.Response(text="stolen")


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    other = Elsewhere()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", other.answer)
    async with listening(app, "127.0.0.1", (0,)) as url:
        other.url = url
        yield other


@pytest.mark.parametrize("shape", ["{url}", "{url}/@{home}", "https://{home}"])
async def test_no_other_host_is_asked(bench: FilesBench, elsewhere: Elsewhere, shape: str) -> None:
    file_id = await bench.upload("a.txt", b"x")
    home = bench.slack.trigger_tokens.base_url.removeprefix("http://")
    bench.slack.state.base_url = shape.format(url=elsewhere.url, home=home)
    with pytest.raises(FileUnavailable, match="lie in Slack itself"):
        await bench.files.fetch(file_id, 100)
    assert not elsewhere.seen
