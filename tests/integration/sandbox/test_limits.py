"""Hunger, crowds, races and hostile arguments, inside the real limits."""

import asyncio
import textwrap
import time

import pytest

from tests.integration.sandbox.conftest import Sandbox

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow(25)]

CROWD = """
    import os
    while True:
        try:
            os.fork()
        except OSError:
            pass
"""
HOGS = """
    import os, time
    for _ in range(60):
        if os.fork() == 0:
            while True:
                pass
    time.sleep(60)
"""
RACE = """
    import os, sys
    from pathlib import Path
    from bridge.errors import ToolError
    from bridge.workspace.filesystem import Workspace
    root = Path("/tmp/race")
    (root / "in").mkdir(parents=True)
    (root / "in/file").write_text("inside")
    outside = Path("/tmp/outside"); outside.mkdir(exist_ok=True)
    (outside / "file").write_text("leak")
    (root / "link").symlink_to(outside)
    swapper = os.fork()
    if swapper == 0:
        while True:
            os.rename(root / "in", root / "aside")
            os.rename(root / "link", root / "in")
            os.rename(root / "in", root / "link")
            os.rename(root / "aside", root / "in")
    workspace, leaks, read = Workspace(root), 0, 0
    for _ in range(100_000):
        try:
            data = workspace.read_bytes("in/file", 100)
        except ToolError:
            continue
        read += data == b"inside"
        leaks += data == b"leak"
    os.kill(swapper, 9)
    print("leaks", leaks, "read", read > 1000)
"""


async def test_a_tool_that_eats_all_memory_dies_alone(sandbox: Sandbox) -> None:
    before = await sandbox.health()
    result = await sandbox.python("x = [bytearray(10**7) for _ in range(10**4)]")
    assert "Killed by signal 9" in result.result
    assert await sandbox.health() == before
    assert "fine" in (await sandbox.python("print('fine')")).result


@pytest.mark.parametrize("script", [CROWD, HOGS], ids=["forks", "hogs"])
async def test_the_bridge_answers_while_a_tool_takes_all_it_gets(
    sandbox: Sandbox, script: str
) -> None:
    before = await sandbox.health()
    command = ["python3", "-c", textwrap.dedent(script)]
    task_id = await sandbox.begin("run_command", command=command, timeout_seconds=4)
    await sandbox.client.frames("tool_started", task_id=task_id)
    until = time.monotonic() + 3.5
    while time.monotonic() < until:
        assert await sandbox.health() == before
        await asyncio.sleep(0.2)
    await sandbox.client.frames("task_finished", task_id=task_id)
    assert [line for line in await sandbox.of_runner() if "bridge.runner" not in line] == []
    assert "fine" in (await sandbox.python("print('fine')")).result


async def test_no_read_leaks_under_a_rename_race(sandbox: Sandbox) -> None:
    program = ("/opt/bridge/bin/python", "-I", "-c", textwrap.dedent(RACE))
    said = await asyncio.to_thread(sandbox.inside, *program, user="runner")
    assert said.strip() == "leaks 0 read True"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_files", {"pattern": "--pre=./p.sh"}),
        ("search_files", {"pattern": "x", "path": "--pre=./p.sh"}),
        ("search_files", {"pattern": "x", "glob": "--pre=./p.sh"}),
        ("search_files", {"pattern": "-f/etc/passwd"}),
        ("git_diff", {"path": "--output=/tmp/hit"}),
        ("git_diff", {"path": "--ext-diff"}),
        ("git_log", {"path": "--output=/tmp/hit"}),
        ("read_file", {"path": "../../etc/passwd"}),
        ("read_file", {"path": "/proc/self/environ"}),
        ("run_command", {"command": ["git", "diff", "--output=/tmp/hit"]}),
        ("run_command", {"command": ["git", "-c", "core.pager=touch /tmp/hit", "log"]}),
        ("run_command", {"command": ["rg", "--pre=./p.sh", "x"]}),
        ("run_command", {"command": ["find", ".", "-exec", "touch", "/tmp/hit", ";"]}),
        ("run_command", {"command": "echo x; touch /tmp/hit"}),
        ("run_command", {"command": "echo $(touch /tmp/hit)"}),
    ],
)
async def test_no_argument_becomes_an_option_or_a_command(
    sandbox: Sandbox, tool: str, arguments: dict[str, object]
) -> None:
    sandbox.inside(
        "sh", "-c",
        "printf '#!/bin/sh\\ntouch /tmp/hit\\n' > /workspace/p.sh; chmod +x /workspace/p.sh",
        user="runner",
    )  # fmt: skip
    result = await sandbox.call(tool, **arguments)
    assert "root:x" not in result.result
    assert not sandbox.exists("/tmp/hit"), result.result


async def test_what_a_repository_configures_does_not_run_in_the_git_tools(
    sandbox: Sandbox,
) -> None:
    sandbox.inside(
        "sh", "-ec",
        """
        cd /workspace; printf '#!/bin/sh\\nid -u >> /tmp/ran\\ncat' > .git/p.sh; chmod +x .git/p.sh
        git config core.fsmonitor /workspace/.git/p.sh
        git config diff.external /workspace/.git/p.sh
        git config diff.shown.textconv /workspace/.git/p.sh
        git config core.pager /workspace/.git/p.sh
        git config core.hooksPath /workspace/.git
        cp .git/p.sh .git/post-index-change; rm -f /tmp/ran; echo two > a.txt
        """,
        user="runner",
    )  # fmt: skip
    for tool, arguments in (
        ("git_status", {}), ("git_log", {}), ("git_diff", {}), ("git_diff", {"scope": "unstaged"}),
    ):  # fmt: skip
        result = await sandbox.call(tool, **arguments)
        assert result.ok, result.result
    assert not sandbox.exists("/tmp/ran")
    # A filter is git's own; it runs, as the user of the tools.
    sandbox.inside("git", "-C", "/workspace", "config", "filter.cleaned.clean",
                   "/workspace/.git/p.sh", user="runner")  # fmt: skip
    sandbox.inside("touch", "/workspace/a.txt", user="runner")
    assert (await sandbox.call("git_diff")).ok
    assert set(sandbox.inside("cat", "/tmp/ran").split()) <= {"10002"}
