"""Bare git repositories on disk: making them from files, and looking into them."""

import asyncio
import os
import re
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
COMMITTED = 1_767_603_600


class GitFailed(Exception):
    """A git command failed; the text is what it wrote to stderr."""


def git_environment() -> dict[str, str]:
    """Return the environment of git: no configuration of this machine or user, no prompt."""
    return {
        "PATH": os.defpath,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_AUTHOR_NAME": "Ana Ortiz",
        "GIT_AUTHOR_EMAIL": "ana@playground.invalid",
        "GIT_COMMITTER_NAME": "Ana Ortiz",
        "GIT_COMMITTER_EMAIL": "ana@playground.invalid",
    }


async def git(*arguments: str, cwd: Path, stdin: bytes = b"") -> str:
    """Run git; returns stdout, raises GitFailed."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=cwd,
        env=git_environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    if process.returncode:
        raise GitFailed(err.decode("utf-8", "replace").strip())
    return out.decode("utf-8", "replace")


async def make_repository(root: Path, name: str, files: dict[str, str]) -> Path:
    """Make `root/name.git` with one commit on main; an existing one is left as it is."""
    if not NAME.fullmatch(name):
        raise ValueError(f"not a repository name: {name}")
    bare = root / f"{name}.git"
    # The branch comes last, so a making that was cut short is done again.
    if (bare / "HEAD").exists() and await git("for-each-ref", "refs/heads/main", cwd=bare):
        return bare
    await asyncio.to_thread(bare.mkdir, parents=True, exist_ok=True)
    await git("init", "--bare", "--quiet", "--template=", "--initial-branch=main", cwd=bare)
    await git("config", "http.receivepack", "true", cwd=bare)
    await git("fast-import", "--quiet", cwd=bare, stdin=_first_commit(files))
    return bare


def _first_commit(files: dict[str, str]) -> bytes:
    """The stream that `git fast-import` turns into one commit, the same for the same files."""
    who = f"Ana Ortiz <ana@playground.invalid> {COMMITTED} +0000"
    message = "First version\n"
    parts = [f"commit refs/heads/main\ncommitter {who}\n".encode(), _data(message)]
    for name, text in files.items():
        parts += [f"M 100644 inline {name}\n".encode(), _data(text)]
    return b"".join(parts)


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)
