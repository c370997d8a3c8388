"""A small Slack of our own: a Web API that keeps messages and fails as it is told to."""

import asyncio
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from bot.domain.agent import Agent, RepoRef

# An answer in place of the real one, given before or after the call has had its effect.
Fault = Callable[[dict[str, Any]], web.Response | None]


@dataclass
class FakeSlack:
    """`messages` in the order of arrival; `calls` are (method, arguments, time of `clock`)."""

    url: str = ""
    clock: Callable[[], float] = time.monotonic
    limit_posts: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any], float]] = field(default_factory=list)
    reactions: set[tuple[str, str]] = field(default_factory=set)
    uploads: dict[str, bytes] = field(default_factory=dict)
    refused: int = 0
    down_until: float = float("-inf")
    before: dict[str, list[Fault]] = field(default_factory=dict)
    after: dict[str, list[Fault]] = field(default_factory=dict)
    hold: str = ""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)
    _last_post: dict[str, float] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def times(self, method: str) -> list[float]:
        return [at for name, _, at in self.calls if name == method]

    def texts(self) -> list[str]:
        return [message["text"] for message in self.messages]

    def copies(self) -> Counter[str]:
        return Counter(m["metadata"]["event_payload"]["outbox_id"] for m in self.messages)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        if request.content_type == "application/json":
            arguments = await request.json()
        else:
            arguments = {**request.query, **(await request.post())}
        self.calls.append((method, arguments, self.clock()))
        if self.clock() < self.down_until:
            return web.Response(status=503, text="<html>down</html>", content_type="text/html")
        if (answer := self._fault(self.before, method, arguments)) is not None:
            return answer
        answer = getattr(self, method.replace(".", "_"))(arguments)
        if method == self.hold:
            self.held.set()
            await self.release.wait()
        late = self._fault(self.after, method, arguments)
        if late is not None and late.status == 599:
            assert request.transport
            request.transport.abort()
        return late if late is not None else answer

    async def upload(self, request: web.Request) -> web.Response:
        self.uploads[request.match_info["id"]] = await request.read()
        return web.Response(text="OK")

    def _fault(
        self, faults: dict[str, list[Fault]], method: str, arguments: dict[str, Any]
    ) -> web.Response | None:
        queue = faults.get(method)
        return queue.pop(0)(arguments) if queue else None

    def _too_fast(self, channel: str) -> bool:
        now, last = self.clock(), self._last_post.get(channel, float("-inf"))
        if self.limit_posts and now - last < 0.999:
            self.refused += 1
            return True
        self._last_post[channel] = now
        return False

    def auth_test(self, _: dict[str, Any]) -> web.Response:
        return ok(user_id="UBOT", bot_id="BBOT", team_id="T1", user="bot", team="t", url="u")

    def chat_postMessage(self, a: dict[str, Any]) -> web.Response:  # noqa: N802  (Slack's name)
        if self._too_fast(a["channel"]):
            return too_fast(1)(a)  # type: ignore[return-value]
        ts = f"{time.time():.0f}.{next(self._numbers):06d}"
        self.messages.append(a | {"ts": ts})
        return ok(ts=ts, channel=a["channel"])

    def chat_update(self, a: dict[str, Any]) -> web.Response:
        for message in self.messages:
            if message["ts"] == a["ts"]:
                message.update(a)
                return ok(ts=a["ts"])
        return error("message_not_found")

    def conversations_replies(self, a: dict[str, Any]) -> web.Response:
        assert str(a["include_all_metadata"]) in {"1", "True", "true"}
        found = [m for m in self.messages if a["ts"] in {m["ts"], m.get("thread_ts")}]
        return ok(messages=found[:200])

    def conversations_history(self, a: dict[str, Any]) -> web.Response:
        roots = [m for m in self.messages if not m.get("thread_ts")]
        start = int(a.get("cursor") or 0)
        more = {"next_cursor": str(start + 1)} if start + 1 < len(roots) else {}
        return ok(messages=roots[start : start + 1], response_metadata=more)

    def reactions_add(self, a: dict[str, Any]) -> web.Response:
        if (a["timestamp"], a["name"]) in self.reactions:
            return error("already_reacted")
        self.reactions.add((a["timestamp"], a["name"]))
        return ok()

    def reactions_remove(self, a: dict[str, Any]) -> web.Response:
        if (a["timestamp"], a["name"]) not in self.reactions:
            return error("no_reaction")
        self.reactions.remove((a["timestamp"], a["name"]))
        return ok()

    def files_getUploadURLExternal(self, a: dict[str, Any]) -> web.Response:  # noqa: N802
        file_id = f"F{next(self._numbers)}"
        return ok(file_id=file_id, upload_url=f"{self.url}/upload/{file_id}")

    def files_completeUploadExternal(self, a: dict[str, Any]) -> web.Response:  # noqa: N802
        files = a["files"] if isinstance(a["files"], list) else json.loads(a["files"])
        ts = f"{time.time():.0f}.{next(self._numbers):06d}"
        self.messages.append({"ts": ts, "thread_ts": a["thread_ts"], "text": "", "files": files})
        return ok(files=files)


def ok(**fields: Any) -> web.Response:
    return web.json_response({"ok": True, **fields})


def error(code: str) -> web.Response:
    return web.json_response({"ok": False, "error": code})


def refuses(code: str) -> Fault:
    return lambda _: error(code)


def too_fast(seconds: int) -> Fault:
    return lambda _: web.json_response(
        {"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": str(seconds)}
    )


def status(code: int, text: str = "<html>no</html>", kind: str = "text/html") -> Fault:
    return lambda _: web.Response(status=code, text=text, content_type=kind)


def reset() -> Fault:
    """The connection breaks; as an `after` fault, once the call has had its effect."""
    return lambda _: web.Response(status=599)


def agent(agent_id: str = "a1", thread_ts: str | None = None, channel: str = "C1") -> Agent:
    return Agent(
        agent_id, "T1", channel, thread_ts, RepoRef("o", "n"), None, "b", "t", "m", 15, "U", 1.0
    )
