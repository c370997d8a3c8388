"""Pushes what is committed to the agent's branch, without the checkout's own settings.

A repository's `.git/config` may send a push elsewhere and run programs. So an empty repository
beside it pushes, which borrows the checkout's objects and knows nothing else of it.
"""

import tempfile
from pathlib import Path

from pydantic import SecretStr

from bridge.process.command import StartError
from bridge.protocol import PUSH_COMMAND_SECONDS, Pushed, WorkspaceReadyEvent
from bridge.workspace.filesystem import Workspace
from bridge.workspace.git import (
    PROTOCOLS,
    authorisation,
    git_at,
    without_token,
)

_REFUSAL_CHARS = 900


async def push_branch(
    workspace: Workspace,
    url: str,
    ready: WorkspaceReadyEvent,
    head: str | None,
    *,
    git_token: SecretStr | None,
    timeout_seconds: float = PUSH_COMMAND_SECONDS,
) -> Pushed:
    """Pushes `head` to the target branch, when it is more than the base; never by force."""
    if head is None or head == ready.base_commit:
        return Pushed()
    try:
        with tempfile.TemporaryDirectory(prefix="threadsmith-push-") as folder:
            refusal = await _run_push(
                Path(folder), workspace, url, f"{head}:refs/heads/{ready.target_branch}", git_token,
                timeout_seconds,
            )  # fmt: skip
    except (OSError, StartError) as error:
        refusal = str(error)
    if refusal is None:
        return Pushed(commit=head)
    return Pushed(
        refusal=without_token(refusal, git_token)[-_REFUSAL_CHARS:] or "git did not say why"
    )


async def _run_push(
    folder: Path,
    workspace: Workspace,
    url: str,
    refspec: str,
    token: SecretStr | None,
    timeout_seconds: float,
) -> str | None:
    """Pushes from an empty repository; returns None, or git's refusal."""
    length = len(refspec.partition(":")[0])
    form = "--object-format=sha256" if length == 64 else "--object-format=sha1"  # noqa: PLR2004
    made = await git_at(folder, "init", "--quiet", "--bare", "--template=", form, ".")
    if made.exit_code != 0:
        return made.stderr.text.strip()
    pushed = await git_at(
        folder,
        *PROTOCOLS,
        *("push", "--porcelain", "--no-verify", "--no-signed", "--", url, refspec),
        extra_environment=authorisation(token)
        | {
            "GIT_DIR": str(folder),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(workspace.root / ".git" / "objects"),
        },
        timeout_seconds=timeout_seconds,
    )
    if pushed.timed_out:
        return f"the push took longer than {timeout_seconds:g} s"
    if pushed.exit_code == 0:
        return None
    return f"{pushed.stdout.text}\n{pushed.stderr.text}".strip()
