"""The bridge against its own description: generated requests, valid ones and broken ones.

A generator asks a real bridge, as a process of its own, with a model that always answers. Nothing
that it invents leads out of this machine: git in that process may read files only.
"""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.integration.bridge.conftest import TOKEN, Provider, Reply, running, says

DESCRIPTION = Path(__file__).parents[3] / "docs" / "openapi.json"
SECONDS = 90
FILES_ONLY = """
import sys
import bridge.workspace.git
plain = bridge.workspace.git.git_environment
bridge.workspace.git.git_environment = lambda: plain() | {"GIT_ALLOW_PROTOCOL": "file"}
from bridge.__main__ import main
sys.exit(main())
"""
# A clone that git refuses is the one server error that generated requests may cause. Bytes are
# never of a wrong shape.
SETTINGS = """
[[operations]]
include-path = "/agent/workspace"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", 502]

[[operations]]
include-path = "/agent/patch"
generation.mode = "positive"
"""
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "negative_data_rejection",
    "unsupported_method", "allow_header_conformance", "ignored_auth",
)  # fmt: skip


class Willing(list[Reply]):
    """The script of a model that has the same answer to everything."""

    def pop(self, _index: object = -1) -> Reply:
        return says("Done.")


STARTING = ("--include-path=/agent/execute", "--include-path=/agent/chat")
# Both never end; the tables beside this file ask them.
ENDING = ("--exclude-path=/agent/events", "--exclude-path=/agent/ws")


@pytest.mark.timeout(SECONDS + 10)
@pytest.mark.parametrize(
    ("has_workspace", "options"),
    [
        (False, (*ENDING, "--max-examples=5")),
        (True, (*ENDING, "--max-examples=20")),
        (True, (*STARTING, "--max-examples=10", "--header=Accept: application/json")),
    ],
    ids=["empty", "streams", "json"],
)
async def test_generated_requests_get_what_the_description_says(
    environment: dict[str, str],
    workspace_body: dict[str, str],
    provider: Provider,
    tmp_path: Path,
    has_workspace: bool,
    options: tuple[str, ...],
) -> None:
    provider.script = Willing()
    async with running(environment, program=("-c", FILES_ONLY)) as (bridge, client):
        elsewhere = workspace_body | {"clone_url": "http://127.0.0.1:9/acme/demo.git"}
        _, refused = await client.post("/agent/workspace", elsewhere)
        assert "transport 'http' not allowed" in refused["error"]["message"]
        if has_workspace:
            assert (await client.post("/agent/workspace", workspace_body))[0] == 200
        status, said = await generated(tmp_path, f"--url={client.url}", *options)
        assert status == 0, said
        assert (await client.get("/agent/status"))[0] == 200
        bridge.terminate()
        _, logs = await bridge.communicate()
    assert b"Traceback" not in logs
    assert b"failed inside" not in logs


async def generated(folder: Path, *options: str) -> tuple[int | None, str]:
    (folder / "schemathesis.toml").write_text(SETTINGS)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "schemathesis"), "run", str(DESCRIPTION),
        *options, f"--header=Authorization: Bearer {TOKEN}", f"--checks={','.join(CHECKS)}",
        "--phases=examples,coverage,fuzzing",
        "--generation-deterministic", "--suppress-health-check=all",
        "--request-timeout=10", "--continue-on-failure", "--no-shrink", "--warnings=off",
        "--no-color",
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "NO_PROXY": "*"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said.decode()
