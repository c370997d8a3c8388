"""What an agent works with: its workspace, its tools, their settings, and whoever does the work."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bridge.agent.prompts import RepositoryFacts, system_prompt
from bridge.config import BridgeSettings
from bridge.process.background import Processes
from bridge.protocol import WorkspaceReadyEvent
from bridge.runner.operations import LocalRunner, Runner
from bridge.tools.base import Tool, ToolContext
from bridge.workspace.filesystem import Workspace


class Equipment:
    """The same for every task of an agent. Without a runner the work is done in this process."""

    def __init__(
        self, settings: BridgeSettings, tools: Sequence[Tool[Any]], runner: Runner | None
    ) -> None:
        self.tools = tuple(tools)
        self.workspace = Workspace(settings.workspace_dir)
        self.variables: dict[str, str] = {}  # for commands, from the next one on
        self._settings = settings
        self._home = Path(tempfile.gettempdir()) / "threadsmith-home"
        self._processes = Processes()  # those of a runner are its own
        self.runner: Runner = runner or LocalRunner(self.workspace, self._home, self._processes)

    def instructions(self, ready: WorkspaceReadyEvent, max_steps: int) -> str:
        """What the model is told before anything else."""
        about = RepositoryFacts(
            repository=ready.repository,
            source_branch=ready.source_branch,
            target_branch=ready.target_branch,
            root=self.workspace.root,
        )
        guide = [(tool.name, tool.description) for tool in self.tools]
        return system_prompt(about, guide, max_steps)

    def context(self, ready: WorkspaceReadyEvent) -> ToolContext:
        """What the tools of a task may use."""
        return ToolContext(
            workspace=self.workspace,
            base_commit=ready.base_commit,
            command_timeout_seconds=self._settings.command_timeout_seconds,
            command_allow=frozenset(self._settings.command_allow),
            home=self._home,
            variables=self.variables,
            processes=self._processes,
        )
