import functools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bridge.tools import default_tools
from bridge.tools.base import ToolContext, ToolResult
from bridge.workspace.filesystem import Workspace
from tests.harness.git import make_repository, run_git

Call = Callable[..., Awaitable[ToolResult]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "workspace"
    directory.mkdir()
    return directory


@pytest.fixture
def git(root: Path) -> Callable[..., str]:
    return functools.partial(run_git, root)


@pytest.fixture
def repository(root: Path, git: Callable[..., str]) -> str:
    """A checkout with one commit, whose name is given."""
    files = {"app.py": "def f():\n    return 1\n", "README.md": "# App\n"}
    make_repository(root, files, message="one")
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
