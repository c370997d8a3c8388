import subprocess
from pathlib import Path

import pytest

from bridge.config import BridgeSettings
from bridge.protocol import MAX_ATTACHMENT_BYTES
from bridge.workspace.attachments import MAX_ATTACHED_FILES
from tests.integration.bridge.conftest import Client

FOLDER = ".threadsmith-attachments"


async def test_a_file_lies_in_the_workspace_and_is_no_part_of_the_changes(
    client: Client, settings: BridgeSettings
) -> None:
    status, put = await client.put("/agent/attachments/F1-shot.png", b"\x89PNG\0")
    assert (status, put) == (200, {"path": f"{FOLDER}/F1-shot.png", "size_bytes": 5})
    assert (settings.workspace_dir / put["path"]).read_bytes() == b"\x89PNG\0"
    assert (await client.get("/agent/diff"))[1]["files"] == []
    git = ["git", "-C", str(settings.workspace_dir), "status", "--porcelain"]
    assert not subprocess.run(git, capture_output=True, check=True).stdout


async def test_the_same_name_again_replaces_it_and_it_may_be_empty(
    client: Client, settings: BridgeSettings
) -> None:
    for content in (b"one", b"", b"three"):
        assert (await client.put("/agent/attachments/a.txt", content))[0] == 200
    assert (settings.workspace_dir / FOLDER / "a.txt").read_bytes() == b"three"


@pytest.mark.parametrize(
    "name", ["..", ".git", "..%2Fx", "%2E%2E%2F%2E%2E%2Fx", "a%20b", "a%00b", "x" * 121, "%FF"]
)
async def test_a_name_that_could_be_a_path_is_refused(client: Client, name: str) -> None:
    status, body = await client.put(f"/agent/attachments/{name}", b"x")
    assert status in {400, 404}
    assert body["error"]["code"] in {"invalid_request", "not_found"}


async def test_too_large_a_file_and_too_many_are_refused(
    client: Client, settings: BridgeSettings
) -> None:
    status, _ = await client.put("/agent/attachments/big", b"x" * (MAX_ATTACHMENT_BYTES + 1))
    assert status == 413
    folder = settings.workspace_dir / FOLDER
    folder.mkdir()
    for number in range(MAX_ATTACHED_FILES):
        (folder / f"{number}.txt").touch()
    status, body = await client.put("/agent/attachments/one-more", b"x")
    assert (status, body["error"]["code"]) == (507, "no_space")
    assert (await client.put("/agent/attachments/7.txt", b"x"))[0] == 200


async def test_a_folder_that_leads_outside_is_not_written_through(
    client: Client, settings: BridgeSettings, tmp_path: Path
) -> None:
    (settings.workspace_dir / FOLDER).symlink_to(tmp_path)
    assert (await client.put("/agent/attachments/a.txt", b"x"))[0] == 507
    assert not (tmp_path / "a.txt").exists()


async def test_there_has_to_be_a_workspace(empty: Client) -> None:
    status, body = await empty.put("/agent/attachments/a.txt", b"x")
    assert (status, body["error"]["code"]) == (409, "workspace_missing")


# What git makes of an empty tree, our name and a fixed time; it must never change.
KNOWN = "0c4a17686a7b853207c80c320feaf55105f580aa"
EMPTY = {"repository": "an empty workspace", "target_branch": "agent/x"}


async def test_without_a_repository_the_workspace_is_empty(
    empty: Client, settings: BridgeSettings
) -> None:
    status, ready = await empty.post("/agent/workspace", EMPTY)
    assert (status, ready["source_branch"], ready["target_branch"]) == (200, "main", "agent/x")
    (settings.workspace_dir / "made.py").write_text("print()\n")
    _, diff = await empty.get("/agent/diff")
    assert [(file["path"], file["added"]) for file in diff["files"]] == [("made.py", 1)]
    again = {**EMPTY, "base_commit": ready["base_commit"], "source_branch": "main"}
    status, found = await empty.post("/agent/workspace", again)
    assert (status, found["already_there"]) == (200, True)


async def test_the_next_container_begins_an_empty_workspace_at_the_same_commit(
    empty: Client,
) -> None:
    """The commit is the same one wherever it is made, so a saved patch fits."""
    base = "d1ce0e6e2d6c1d3a0b5e2bbd1f9b3b8f4b6b7c11"
    status, body = await empty.post("/agent/workspace", {**EMPTY, "base_commit": base})
    assert (status, body["error"]["code"]) == (502, "clone_failed")
    _, ready = await empty.post("/agent/workspace", EMPTY)
    assert ready["base_commit"] == KNOWN
    patch = b"diff --git a/a b/a\nnew file mode 100644\n--- /dev/null\n+++ b/a\n@@ -0,0 +1 @@\n+x\n"
    assert (await empty.put("/agent/patch", patch))[0] == 200
