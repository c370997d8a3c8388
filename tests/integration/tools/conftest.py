import json
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bridge.tools import default_tools
from bridge.tools.base import ToolContext, ToolResult
from bridge.workspace.filesystem import Workspace

Call = Callable[..., Awaitable[ToolResult]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "workspace"
    directory.mkdir()
    return directory


@pytest.fixture
def git(root: Path) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@localhost")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=root, capture_output=True, check=True, text=True
        )
        return done.stdout.strip()

    return run


@pytest.fixture
def repository(root: Path, git: Callable[..., str]) -> str:
    """A checkout with one commit, whose name is given."""
    git("init", "-q", "-b", "main")
    (root / "app.py").write_text("def f():\n    return 1\n")
    (root / "README.md").write_text("# App\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    return git("rev-parse", "HEAD")


@pytest.fixture
def context(root: Path, tmp_path: Path, request: pytest.FixtureRequest) -> ToolContext:
    base = "0" * 40
    if "repository" in request.fixturenames:
        base = request.getfixturevalue("repository")
    home = tmp_path / "home"
    home.mkdir()
    return ToolContext(Workspace(root), base, 20.0, frozenset(), home)


@pytest.fixture
def call(context: ToolContext) -> Call:
    """Call a tool the way a model does: by name, with JSON."""
    tools = {tool.name: tool for tool in default_tools()}

    async def run(name: str, **arguments: object) -> ToolResult:
        tool = tools[name]
        return await tool.run(context, tool.parse(json.dumps(arguments)))

    return run
