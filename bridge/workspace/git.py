"""Runs git on the workspace so that as little as possible of a repository's own programs run.

Hooks, the file system monitor, external diffs, textconv and signature programs are off, and no
other repository is discovered. A clean or smudge filter that somebody has put into the checkout's
own `.git/config` cannot be switched off as a whole: git must be treated as running such code.
"""

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import SecretStr

from bridge.errors import WorkspaceError
from bridge.process.command import CommandResult, Limit, StartError, environment, run
from bridge.protocol import GIT_COMMAND_SECONDS, ErrorCode
from bridge.workspace.filesystem import Workspace

SAFE_CONFIG = (
    "core.fsmonitor=",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.attributesFile=/dev/null",
    "core.quotePath=false",
    "safe.bareRepository=explicit",
    "credential.helper=",
    "log.showSignature=false",
    "diff.external=",
    "diff.ignoreSubmodules=dirty",
    "diff.noprefix=false",
    "diff.mnemonicPrefix=false",
    "color.ui=false",
    "advice.addEmbeddedRepo=false",
    "gc.auto=0",
)
# Where a repository may be fetched from, or pushed to.
PROTOCOLS = (
    *("-c", "protocol.allow=never"),
    *("-c", "protocol.https.allow=always"),
    *("-c", "protocol.http.allow=always"),
    *("-c", "protocol.file.allow=always"),
)
DIFF_OPTIONS = (
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--ignore-submodules=dirty",
    "--submodule=short",
    "--find-renames",
)
_LIMIT = Limit(1_048_576, 65_536)
_SHORT = Limit()
_NO_HOME = Path("/nonexistent")
_NOT_FOUND = (
    r"repository .*not found|does not exist|does not appear to be a git repository"
    r"|authentication failed|could not read (username|password)|invalid credentials"
    r"|returned error: (401|403|404)|access denied|permission .*denied"
)
_FAILURES = (
    (ErrorCode.NO_SPACE, r"no space left|disk quota exceeded|unable to write file"),
    (ErrorCode.BRANCH_NOT_FOUND, r"remote branch .* not found"),
    (ErrorCode.REPOSITORY_NOT_FOUND, _NOT_FOUND),
)


def git_environment() -> dict[str, str]:
    """Returns git's environment when no particular checkout is meant."""
    return environment(_NO_HOME) | {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_PAGER": "cat",
        "GIT_EDITOR": "false",
        "GIT_ASKPASS": "false",
    }


async def git_at(
    directory: Path,
    *arguments: str,
    extra_environment: Mapping[str, str] | None = None,
    limit: Limit = _LIMIT,
    timeout_seconds: float = GIT_COMMAND_SECONDS,
) -> CommandResult:
    """Runs git in a directory, stderr apart. Raises StartError when there is no git."""
    options = [part for setting in SAFE_CONFIG for part in ("-c", setting)]
    return await run(
        ["git", "--no-pager", *options, *arguments],
        cwd=directory,
        env=git_environment() | (dict(extra_environment) if extra_environment else {}),
        timeout_seconds=timeout_seconds,
        limit=limit,
        separate_stderr=True,
    )


async def git(
    workspace: Workspace,
    *arguments: str,
    extra_environment: Mapping[str, str] | None = None,
    limit: Limit = _LIMIT,
    timeout_seconds: float = GIT_COMMAND_SECONDS,
) -> CommandResult:
    """Runs git on the checkout at the workspace's root and on no other repository."""
    located = {
        "GIT_DIR": str(workspace.root / ".git"),
        "GIT_WORK_TREE": str(workspace.root),
        **(extra_environment or {}),
    }
    return await git_at(
        workspace.root,
        *arguments,
        extra_environment=located,
        limit=limit,
        timeout_seconds=timeout_seconds,
    )


def _internal(_stderr: str) -> ErrorCode:
    return ErrorCode.INTERNAL


async def checked_git(
    workspace: Workspace,
    *arguments: str,
    extra: Mapping[str, str] | None = None,
    limit: Limit = _SHORT,
    accept: tuple[int, ...] = (0,),
    code_of: Callable[[str], ErrorCode] = _internal,
    timeout_seconds: float = GIT_COMMAND_SECONDS,
) -> CommandResult:
    """Runs git as `git` does; raises WorkspaceError unless it exits with an accepted code.

    `code_of` reads the error's code from what git wrote, which may be nothing.
    """
    try:
        finished = await git(
            workspace,
            *arguments,
            extra_environment=extra,
            limit=limit,
            timeout_seconds=timeout_seconds,
        )
    except StartError as error:
        raise WorkspaceError(code_of(""), str(error)) from error
    stderr = finished.stderr.text.strip()[-500:]
    if finished.timed_out:
        raise WorkspaceError(code_of(stderr), f"git {arguments[0]} took too long.")
    if finished.exit_code not in accept:
        raise WorkspaceError(code_of(stderr), f"git {arguments[0]} failed: {stderr}")
    return finished


def failure_code(stderr: str) -> ErrorCode:
    """Tells by what git wrote why it could not read from a remote."""
    for code, pattern in _FAILURES:
        if re.search(pattern, stderr, re.IGNORECASE):
            return code
    return ErrorCode.CLONE_FAILED


def authorisation(token: SecretStr | None) -> dict[str, str]:
    """Passes the token to one command by its environment, so by no URL, argument or file.

    A redirect is refused then, because git would send the header to wherever it leads.
    """
    if token is None:
        return {}
    return {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {_login(token)}",
        "GIT_CONFIG_KEY_1": "http.followRedirects",
        "GIT_CONFIG_VALUE_1": "false",
    }


def without_token(text: str, token: SecretStr | None) -> str:
    """Returns git's text without the token, in whichever form it was sent."""
    if token is None or not token.get_secret_value():
        return text
    return text.replace(token.get_secret_value(), "[token]").replace(_login(token), "[token]")


def _login(token: SecretStr) -> str:
    return base64.b64encode(f"x-access-token:{token.get_secret_value()}".encode()).decode()
