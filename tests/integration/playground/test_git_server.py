import asyncio
import gzip
import sys
from pathlib import Path

import aiohttp
import pytest

from playground.git_api import Pull
from playground.repositories import GitFailed, git
from playground.server import Playground


def with_token(url: str, token: str) -> str:
    return url.replace("http://", f"http://x-access-token:{token}@")


async def clone(playground: Playground, name: str, to: Path, token: str = "") -> Path:
    base = with_token(playground.git_url, token) if token else playground.git_url
    await git("clone", "--quiet", f"{base}/{name}", str(to), cwd=to.parent)
    return to


async def test_a_public_repository_is_cloned_without_a_token(
    playground: Playground, tmp_path: Path
) -> None:
    tree = await clone(playground, "demo/todo", tmp_path / "todo")
    assert (tree / "todo" / "items.py").exists()


async def test_the_sample_has_exactly_one_failing_test_and_one_line_mends_it(
    playground: Playground, tmp_path: Path
) -> None:
    tree = await clone(playground, "demo/todo", tmp_path / "todo")

    async def run_tests() -> str:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "unittest", cwd=tree, stderr=asyncio.subprocess.PIPE
        )
        return (await process.communicate())[1].decode()

    assert "Ran 9 tests" in (before := await run_tests())
    assert "FAILED (failures=1)" in before
    source = tree / "todo" / "items.py"
    source.write_text(source.read_text().replace("item.due <= today", "item.due < today"))
    assert "OK" in await run_tests()


async def test_a_push_needs_the_token_and_lands(playground: Playground, tmp_path: Path) -> None:
    anonymous = await clone(playground, "demo/todo", tmp_path / "a")
    with pytest.raises(GitFailed):
        await git("push", "origin", "HEAD:refs/heads/agent/x", cwd=anonymous)
    tree = await clone(playground, "demo/todo.git", tmp_path / "b", playground.git_token)
    (tree / "big.bin").write_bytes(bytes(range(256)) * 20_000)
    await git("add", "--all", cwd=tree)
    await git("commit", "--quiet", "-m", "more", cwd=tree)
    await git("push", "--quiet", "origin", "HEAD:refs/heads/agent/x", cwd=tree)
    assert await playground.git.branches("demo/todo") == ["agent/x", "main"]


async def test_a_private_repository_opens_to_its_token_only(
    playground: Playground, tmp_path: Path
) -> None:
    with pytest.raises(GitFailed):
        await clone(playground, "demo/private", tmp_path / "a")
    with pytest.raises(GitFailed):
        await clone(playground, "demo/private", tmp_path / "b", "wrong")
    tree = await clone(playground, "demo/private", tmp_path / "c", playground.git_token)
    assert (tree / "README.md").exists()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/demo/todo/info/refs?service=git-upload-pack", 200),
        ("/demo/private/info/refs?service=git-upload-pack", 401),
        ("/demo/nothing/info/refs?service=git-upload-pack", 401),
        ("/demo/todo/info/refs?service=git-receive-pack", 401),
        ("/demo/todo/HEAD", 404),
        ("/../../etc/passwd", 404),
        ("/demo/..%2f..%2fetc/info/refs", 404),
        ("/", 404),
    ],
)
async def test_what_is_not_for_everybody_is_refused(
    playground: Playground, session: aiohttp.ClientSession, path: str, status: int
) -> None:
    async with session.get(f"{playground.git_url}{path}") as response:
        assert response.status == status


async def test_many_clones_at_once_all_succeed(playground: Playground, tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(clone(playground, "demo/todo", tmp_path / str(number)))
    assert len(list(tmp_path.glob("*/README.md"))) == 6


async def test_a_compressed_body_reaches_git_as_it_came(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    tip = (await playground.git.git("demo/todo", "rev-parse", "main")).strip()
    want = f"0032want {tip}\n00000009done\n".encode()
    headers = {
        "Content-Type": "application/x-git-upload-pack-request",
        "Content-Encoding": "gzip",
    }
    url = f"{playground.git_url}/demo/todo/git-upload-pack"
    async with session.post(url, data=gzip.compress(want), headers=headers) as response:
        assert response.status == 200
        assert b"PACK" in await response.read()


async def test_the_link_of_a_pull_request_leads_to_its_branch_on_the_page(
    playground: Playground,
) -> None:
    playground.git.api.pulls["demo/todo"] = [Pull(1, "Fix it", "", "agent/k3f9ab-fix", "main")]
    async with aiohttp.ClientSession() as session:
        url = playground.git.api.page_of("demo/todo", 1)
        async with session.get(url, allow_redirects=False) as answer:
            assert answer.status == 302
            place = "git%3Ademo%2Ftodo%40agent%2Fk3f9ab-fix"
            assert answer.headers["Location"] == f"{playground.page_url}#/-/{place}"
        async with session.get(f"{url}0") as answer:
            assert answer.status == 404
        async with session.get(f"{playground.page_url}playground/git/demo/todo") as answer:
            [shown] = (await answer.json())["pulls"]
    assert (shown["number"], shown["state"], shown["merged"]) == (1, "open", False)


async def test_a_token_lists_what_it_opens(playground: Playground) -> None:
    url = f"{playground.git_url}/api/v3/user/repos"
    async with aiohttp.ClientSession() as session:
        for token, status, names in (
            (playground.git_token, 200, ["demo/private", "demo/todo"]),
            ("canary-of-nobody", 401, None),
        ):
            headers = {"Authorization": f"Bearer {token}"}
            async with session.get(url, headers=headers) as answer:
                assert answer.status == status
                told = await answer.json()
            assert names is None or [one["full_name"] for one in told] == names
        headers = {"Authorization": f"Bearer {playground.git_token}"}
        async with session.get(f"{url}?per_page=1&page=2", headers=headers) as answer:
            assert [one["full_name"] for one in await answer.json()] == ["demo/todo"]
