"""Two users in one container: what the tools' user sees, keeps, and can do to the other."""

import asyncio
import json

import pytest

from tests.integration.bridge.conftest import TOKEN
from tests.integration.sandbox.conftest import KEY, Sandbox

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

LOOK = """
    import json, os, pathlib
    found = {"own": os.getresuid() + os.getresgid(), "groups": os.getgroups()}
    found |= {"read": [], "users": {}}
    found["environ"] = dict(os.environ)
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        status = dict(
            line.split(":", 1) for line in (process / "status").read_text().splitlines()
            if ":" in line
        )
        name = (process / "cmdline").read_bytes().replace(b"\\0", b" ").decode()
        found["users"][name] = [status["Uid"].split()[0], status["CapEff"].strip()]
        if process.name == str(os.getpid()):
            continue
        for part in ("environ", "mem", "maps", "fd/0", "fd/3", "cwd/x", "root/etc/passwd"):
            try:
                (process / part).open("rb").read(1)
                found["read"].append(f"{name}: {part}")
            except PermissionError:
                pass
    print(json.dumps(found))
"""


async def test_tools_run_as_a_user_that_cannot_look_into_the_bridge(sandbox: Sandbox) -> None:
    result = await sandbox.python(LOOK)
    assert result.ok, result.result
    found = json.loads(result.result.partition("\n")[2])
    assert found["own"] == [10002] * 6
    assert found["groups"] == []
    assert found["read"] == []
    environ = json.dumps(found["environ"])
    assert TOKEN not in environ
    assert KEY not in environ
    users = {name.split(" -m ")[-1].split()[0]: user for name, user in found["users"].items()}
    assert users["bridge"] == ["10001", "0" * 16]
    assert users["bridge.runner"] == ["10002", "0" * 16]
    assert users["bridge.launcher"][0] == "0"


async def test_the_bridge_answers_no_tool_not_even_with_the_token(sandbox: Sandbox) -> None:
    result = await sandbox.python(f"""
        import socket
        probe = socket.create_connection(("127.0.0.1", 3001), 5)
        try:
            probe.sendall(b"GET /agent/status HTTP/1.1\\r\\nHost: x\\r\\n"
                          b"Authorization: Bearer {TOKEN}\\r\\n\\r\\n")
            print("answer:", probe.recv(1000))
        except ConnectionError:
            print("answer:", b"")
    """)
    assert "answer: b''" in result.result


async def test_nothing_else_listens_inside(sandbox: Sandbox) -> None:
    result = await sandbox.python(
        """
        import socket
        found = []
        for port in range(1, 65536):
            with socket.socket() as probe:
                probe.settimeout(1)
                if probe.connect_ex(("127.0.0.1", port)) or probe.getsockname()[1] == port:
                    continue  # closed, or the probe has met itself
                found.append(port)
        print("open:", found)
        """,
        timeout_seconds=60,
    )
    assert "open: [3001]" in result.result


async def test_what_leaves_session_parents_and_environment_ends_with_its_call(
    sandbox: Sandbox,
) -> None:
    result = await sandbox.python("""
        import os, time
        for depth in (1, 2, 3):
            if os.fork() == 0:
                for _ in range(depth):
                    os.setsid() if os.getpid() != os.getsid(0) else None
                    if os.fork():
                        os._exit(0)
                os.closerange(0, 100)
                os.execve("/bin/sleep", ["still-there", "600"], {})
        time.sleep(0.5)
        print("left")
    """)
    assert "left" in result.result
    assert [line for line in await sandbox.of_runner() if "bridge.runner" not in line] == []


async def test_a_declared_process_outlives_calls_and_what_they_leave_behind_does_not(
    sandbox: Sandbox,
) -> None:
    server = ["python3", "-m", "http.server", "8123", "--bind", "127.0.0.1"]
    started = await sandbox.call("start_process", command=server)
    assert started.ok, started.result
    await sandbox.python("""
        import os
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.closerange(0, 100)
            os.execve("/bin/sleep", ["left-behind", "600"], {})
    """)
    asked = await sandbox.python(
        "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8123').status)"
    )
    assert "200" in asked.result
    processes = await sandbox.of_runner()
    assert [line for line in processes if "left-behind" in line] == []
    assert len([line for line in processes if "8123" in line]) == 1
    stopped = await sandbox.call("stop_process", process="p1")
    assert stopped.ok, stopped.result
    assert [line for line in await sandbox.of_runner() if "bridge.runner" not in line] == []


async def test_a_tool_that_kills_all_it_may_ends_its_runner_and_no_more(sandbox: Sandbox) -> None:
    before = await sandbox.health()
    result = await sandbox.python("import os; os.kill(-1, 9)")
    assert not result.ok
    assert "process that runs the tools ended" in result.result
    again = await sandbox.python("print('back')")
    assert "back" in again.result
    assert await sandbox.health() == before


async def test_a_runner_that_is_held_is_replaced_when_the_task_is_interrupted(
    sandbox: Sandbox,
) -> None:
    task_id = await sandbox.begin(
        "run_command",
        command=["sh", "-c", "kill -STOP $(pgrep -f bridge.runner); sleep 60"],
    )
    await sandbox.client.frames("tool_started", task_id=task_id)
    async with asyncio.timeout(10):
        while not any(
            line.startswith("T")
            for line in (
                await asyncio.to_thread(sandbox.inside, "ps", "-U", "runner", "-o", "stat=")
            ).splitlines()
        ):
            await asyncio.sleep(0.05)  # a stop by signal has no event that another could await
    status, _ = await sandbox.client.post("/agent/interrupt")
    assert status == 200
    again = await sandbox.python("print('back')")
    assert "back" in again.result


async def test_variables_reach_commands_and_nothing_else(sandbox: Sandbox) -> None:
    async def give(variables: dict[str, str]) -> int:
        body = json.dumps({"variables": variables}).encode()
        status, _ = await sandbox.client.put("/agent/environment", body)
        return int(status)

    assert await give({"NPM_TOKEN": "canary-npm"}) == 200
    shown = await sandbox.python("import os; print('it is', os.environ.get('NPM_TOKEN'))")
    assert "it is canary-npm" in shown.result
    for name in ("PATH", "LD_PRELOAD", "GIT_DIR", "PYTHONPATH", "https_proxy", "a b", "x=y", ""):
        assert await give({name: "x"}) == 400, name
    assert await give({}) == 200
    shown = await sandbox.python("import os; print('it is', os.environ.get('NPM_TOKEN'))")
    assert "it is None" in shown.result
