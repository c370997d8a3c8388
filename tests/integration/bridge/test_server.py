import asyncio
import io
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import ClientSession, web

from bridge.http.routes import ROUTES
from bridge.protocol import Outcome, TaskFinished, ToolFinished, parse_event
from tests.integration.bridge.conftest import (
    DONE,
    TOKEN,
    Client,
    Provider,
    Reply,
    calls,
    chunk,
    read_frames,
    says,
    streams,
    usage,
)

GUARDED = [
    *(
        (item.method.upper(), item.path.format(id="m1", name="a.txt"))
        for item in ROUTES
        if item.needs_token
    ),
    ("GET", "/nothing/here"),
]


class Held:
    """A model answer that is held back until it is let go."""

    def __init__(self, answer: Reply) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self._answer = answer

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked.set()
        await self.go_on.wait()
        return await self._answer(request)


@pytest.mark.parametrize(
    ("method", "path"), GUARDED, ids=[f"{method} {path}" for method, path in GUARDED]
)
async def test_every_route_wants_the_token(client: Client, method: str, path: str) -> None:
    wrong = ["", "Bearer", "Bearer wrong", f"bearer {TOKEN}", f"Basic {TOKEN}", "Bearer \u00fc"]
    offered = [{}, *({"Authorization": value} for value in wrong)]
    async with ClientSession() as http:
        for headers in offered:
            async with http.request(method, client.url + path, headers=headers) as response:
                assert response.status == 401, headers
                assert (await response.json())["error"]["code"] == "unauthorized"


async def test_health_needs_no_token(client: Client) -> None:
    async with ClientSession() as http, http.get(client.url + "/health") as response:
        body = await response.json()
    assert response.status == 200
    assert (body["status"], body["protocol"]) == ("ok", 1)


GOOD = {"task_id": "t1", "text": "do it", "model": "acme/model"}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"task_id": "\\ud800"}',
        json.dumps(GOOD | {"text": ""}).encode(),
        json.dumps(GOOD | {"text": "x" * 40_001}).encode(),
        json.dumps(GOOD | {"task_id": "../x"}).encode(),
        json.dumps(GOOD | {"max_steps": 0}).encode(),
        json.dumps(GOOD | {"surprise": 1}).encode(),
        json.dumps({"task_id": "t1"}).encode(),
    ],
    ids=[
        "empty", "null", "list", "torn", "not-utf8", "deep", "surrogate", "no-text", "long-text",
        "bad-id", "no-steps", "unknown-field", "missing",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/agent/execute", "/agent/chat", "/agent/workspace"])
async def test_a_malformed_body_is_a_clear_error(client: Client, path: str, body: bytes) -> None:
    async with client.http.post(client.url + path, data=body) as response:
        answer = await response.json()
    assert response.status == 400
    assert answer["error"]["code"] == "invalid_request"
    assert "Traceback" not in answer["error"]["message"]
    assert (await client.get("/agent/status"))[1]["status"] == "idle"


async def test_a_body_beyond_the_cap_is_refused(client: Client) -> None:
    body = io.BytesIO(b" " * (2 * 1_048_576 + 1))
    async with client.http.post(client.url + "/agent/execute", data=body) as response:
        assert response.status == 413
        assert (await response.json())["error"]["code"] == "invalid_request"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/agent/nothing", 404),
        ("GET", "/agent/execute", 405),
        ("PUT", "/health", 405),
        ("TRACE", "/agent/patch", 405),
    ],
)
async def test_unknown_routes_and_methods_answer_in_the_same_shape(
    client: Client, method: str, path: str, status: int
) -> None:
    async with client.http.request(method, client.url + path) as response:
        assert response.status == status
        assert set((await response.json())["error"]) == {"code", "message"}
        assert ("Allow" in response.headers) is (status == 405)


async def test_the_stream_of_a_task_ends_with_it_and_the_same_id_attaches(
    client: Client, provider: Provider
) -> None:
    provider.script = [says("Done.")]

    async def stream() -> list[Any]:
        headers = {"Accept": "text/event-stream"}
        async with client.http.post(
            client.url + "/agent/execute", json=GOOD, headers=headers
        ) as response:
            assert response.content_type == "text/event-stream"
            return [frame async for frame in read_frames(response.content)]

    first, second = await asyncio.gather(stream(), stream())
    third = await stream()
    kept = [frame for frame in first if frame[0]]
    assert (kept[0][1], kept[-1][1]) == ("task_started", "task_finished")
    assert kept == [frame for frame in second if frame[0]] == third
    assert "text_delta" in [kind for _, kind, _ in first]
    assert len(provider.requests) == 1


async def test_the_stream_of_a_task_that_is_over_ends_wherever_its_reader_is(
    client: Client, provider: Provider
) -> None:
    held = Held(says("Done."))
    provider.script = [says("Done."), held]
    await client.execute()
    last = (await client.frames("task_finished"))[-1][0]
    await client.chat(1)
    await held.asked.wait()
    await client.chat(2, mode="queue")
    withdrawn = {"task_id": "t3", "text": "never", "model": "acme/model"}
    async with (
        asyncio.timeout(5),
        client.http.post(client.url + "/agent/execute", json=withdrawn) as waiting,
    ):
        async with client.http.post(
            client.url + "/agent/execute", json=GOOD, headers={"Last-Event-ID": str(last)}
        ) as response:
            assert await response.read() == b""
        assert (await client.delete("/agent/messages/t3"))[1] == {"revised": True}
        async for line in waiting.content:
            assert b"t3" not in line
    held.go_on.set()
    assert (await client.frames("task_finished", task_id="r2"))[-1]


async def test_json_callers_get_their_answer_at_once(client: Client, provider: Provider) -> None:
    held = Held(says("Done."))
    provider.script = [held]
    assert await client.execute() == (
        202,
        {"disposition": "started", "task_id": "t1", "position": 0},
    )
    await held.asked.wait()
    status, steering = await client.chat(1)
    assert (status, steering["disposition"]) == (202, "steering")
    status, queued = await client.chat(2, mode="queue")
    assert (status, queued["disposition"]) == (202, "queued")
    assert (await client.post("/agent/chat", GOOD))[0] == 400
    assert (await client.post("/agent/interrupt"))[0] == 200


async def test_a_reader_that_comes_back_misses_nothing(client: Client, provider: Provider) -> None:
    held = Held(says("Done."))
    provider.script = [calls(("list_directory", {})), held]
    await client.execute()
    first = await client.frames("tool_finished")
    await held.asked.wait()
    held.go_on.set()
    last_id = [number for number, _, _ in first if number][-1]
    second = await client.frames("task_finished", **{"Last-Event-ID": str(last_id)})
    numbers = [int(number) for number, _, _ in (*first, *second) if number]
    assert numbers == list(range(1, numbers[-1] + 1))


async def test_a_live_websocket_gets_fragments_too(client: Client, provider: Provider) -> None:
    held = Held(says("Done."))
    provider.script = [held]
    _, status = await client.get("/agent/status")
    async with client.http.ws_connect(f"{client.url}/agent/ws?after={status['last_seq']}") as ws:
        await client.execute()
        held.go_on.set()
        kinds: list[str] = []
        while not kinds or kinds[-1] != "task_finished":
            kinds.append(json.loads(await ws.receive_str(timeout=5))["type"])
    assert "text_delta" in kinds


async def test_a_reader_that_never_reads_holds_nothing_up(
    client: Client, provider: Provider
) -> None:
    where = urlsplit(client.url)
    deaf = socket.create_connection((where.hostname, where.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.sendall(
        b"GET /agent/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        + TOKEN.encode()
        + b"\r\n\r\n"
    )
    flood = [chunk(content="x" * 20_000) for _ in range(30)]
    provider.script = [
        *(streams(*flood, chunk("length"), usage(), DONE) for _ in range(2)),
        *(says("Done.") for _ in range(4)),  # summaries, and the answer
    ]
    await client.execute()
    last = (await client.events("task_finished"))[-1]
    deaf.close()
    assert isinstance(last, TaskFinished)
    assert last.outcome is Outcome.COMPLETED


async def test_an_idle_stream_stays_alive_by_comments(client: Client) -> None:
    async with client.http.get(client.url + "/agent/events?after=2") as response:
        assert await response.content.readline() == b": heartbeat\n"


async def test_fragments_of_parallel_calls_reach_their_tools(
    client: Client, provider: Provider
) -> None:
    def fragment(index: int, arguments: str, name: str | None = None) -> str:
        function = {"arguments": arguments} | ({"name": name} if name else {})
        return chunk(tool_calls=[{"index": index, "function": function}])

    provider.script = [
        streams(
            fragment(0, "", "write_file"),
            fragment(1, '{"pa', "read_file"),
            fragment(0, '{"path": "a.txt", "con'),
            fragment(1, 'th": "README.md"}'),
            fragment(0, 'tent": "\\u00e4\\ud83d\\ude00"}'),
            chunk("tool_calls"),
            usage(),
            DONE,
        ),
        says("Done."),
    ]
    await client.execute()
    events = await client.events("task_finished")
    finished = [event for event in events if isinstance(event, ToolFinished)]
    assert [(event.tool, event.ok) for event in finished] == [
        ("write_file", True),
        ("read_file", True),
    ]
    _, diff = await client.get("/agent/diff")
    assert [file["path"] for file in diff["files"]] == ["a.txt"]
    async with client.http.get(client.url + "/agent/patch") as response:
        assert "a.txt" in await response.text()


async def test_interrupt_answers_when_the_tool_is_dead(client: Client, provider: Provider) -> None:
    sleep = {"command": ["python3", "-c", "import time; time.sleep(300)"]}
    provider.script = [calls(("run_command", sleep)), says("Here.")]
    await client.execute()
    await client.frames("tool_started")
    began = asyncio.get_running_loop().time()
    code, status = await client.post("/agent/interrupt")
    assert asyncio.get_running_loop().time() - began < 5
    assert (code, status["status"]) == (200, "idle")
    last = parse_event((await client.frames("task_finished"))[-1][2])
    assert isinstance(last, TaskFinished)
    assert last.outcome is Outcome.INTERRUPTED
    await client.chat(1)
    await client.frames("task_finished", f"/agent/events?after={last.seq}")
    roles = [message["role"] for message in provider.requests[1]["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "user"]


async def test_partial_text_of_an_interrupted_answer_is_kept(
    client: Client, provider: Provider
) -> None:
    hold = asyncio.Event()

    async def wait(_request: web.Request) -> None:
        await hold.wait()

    provider.script = [streams(chunk(content="Half a thought"), then=wait), says("Whole.")]
    async with client.http.get(client.url + "/agent/events") as watching:
        await client.execute()
        async for _, kind, _ in read_frames(watching.content):
            if kind == "text_delta":
                break
    await client.post("/agent/interrupt")
    hold.set()
    await client.chat(1)
    await client.frames("task_finished", task_id="r1")
    assert {"role": "assistant", "content": "Half a thought"} in provider.requests[1]["messages"]
