"""Runs git in tests without the configuration of the machine, and makes small repositories."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@localhost",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@localhost",
}


def run_git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """Returns the stripped output of git in a folder; raises CalledProcessError."""
    return run_git_bytes(folder, *arguments, stdin=stdin).decode(errors="replace").strip()


def run_git_bytes(folder: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """Returns the output of git to the byte, such as a patch; raises CalledProcessError."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        input=stdin,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        texts = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        raise subprocess.CalledProcessError(done.returncode, arguments, *texts)
    return done.stdout


def make_repository(
    folder: Path, files: Mapping[str, str | bytes], branch: str = "main", message: str = "first"
) -> Path:
    """Makes a repository with one commit of these files in an existing folder; returns it."""
    run_git(folder, "init", "--quiet", "--initial-branch", branch)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "--message", message)
    return folder
