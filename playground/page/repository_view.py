"""Looking into the local git host: its repositories, branches, commits and diffs, as JSON."""

import re
from dataclasses import asdict, dataclass

from playground.git_server import GitServer
from playground.repositories import GitFailed
from playground.slack.observer import CannotDo
from playground.slack.slack_state import Json

MAX_BRANCHES = 200
MAX_COMMITS = 100
MAX_DIFF_CHARS = 400_000
MAIN = "main"
BRANCH = re.compile(r"[A-Za-z0-9][\w./-]{0,250}")
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}/[A-Za-z0-9][\w.-]{0,99}")
BETWEEN, AFTER = "\x1f", "\x1e"
COMMIT_FORMAT = BETWEEN.join(("%H", "%an", "%at", "%s")) + AFTER
BRANCH_FORMAT = BETWEEN.join(
    ("%(refname:short)", "%(objectname)", "%(committerdate:unix)", "%(contents:subject)")
)


@dataclass(frozen=True, slots=True)
class RepositoryView:
    """Reads the bare repositories of one git host; raises CannotDo for what is not there."""

    git: GitServer

    def names(self) -> list[str]:
        """The repositories, as owner/name."""
        return self.git.names()

    async def branches(self, name: str) -> list[Json]:
        """The branches, the newest first, each with its last commit."""
        out = await self._git(
            name, "for-each-ref", "--sort=-committerdate", f"--count={MAX_BRANCHES}",
            f"--format={BRANCH_FORMAT}", "refs/heads",
        )  # fmt: skip
        keys = ("name", "commit", "at", "subject")
        return [dict(zip(keys, line.split(BETWEEN, 3), strict=True)) for line in out.splitlines()]

    def pulls(self, name: str) -> list[Json]:
        """The pull requests, the newest first."""
        return [asdict(pull) for pull in reversed(self.git.api.pulls.get(name, []))]

    async def commits(self, name: str, branch: str) -> list[Json]:
        """The commits of a branch that main does not have; main's own for main itself."""
        span = _ref(branch) if branch == MAIN else f"{_ref(MAIN)}..{_ref(branch)}"
        out = await self._git(
            name, "log", f"--max-count={MAX_COMMITS}", f"--format={COMMIT_FORMAT}", span, "--"
        )
        keys = ("commit", "author", "at", "subject")
        parts = (part.strip("\n") for part in out.split(AFTER))
        return [dict(zip(keys, part.split(BETWEEN, 3), strict=True)) for part in parts if part]

    async def diff(self, name: str, branch: str) -> Json:
        """Return the changes of a branch against main: {text, is_cut}."""
        out = await self._git(
            name, "diff", "--no-ext-diff", "--no-textconv", f"{_ref(MAIN)}...{_ref(branch)}", "--"
        )
        return {"text": out[:MAX_DIFF_CHARS], "is_cut": len(out) > MAX_DIFF_CHARS}

    async def _git(self, name: str, *arguments: str) -> str:
        if not NAME.fullmatch(name) or name not in self.names():
            raise CannotDo(f"There is no repository {name[:200]}.")
        try:
            return await self.git.git(name, *arguments)
        except GitFailed as error:
            raise CannotDo(f"git: {str(error)[:300]}") from error


def _ref(branch: str) -> str:
    if not BRANCH.fullmatch(branch) or ".." in branch:
        raise CannotDo(f"There is no branch {branch[:200]}.")
    return f"refs/heads/{branch}"
