"""Owns the tools that the model may call, the policy on commands, and what a command proves. It
knows nothing of the loop.
"""

from typing import Any

from bridge.tools.background import READ_PROCESS, START_PROCESS, STOP_PROCESS
from bridge.tools.base import Tool
from bridge.tools.files import EDIT_FILE, LIST_DIRECTORY, READ_FILE, WRITE_FILE
from bridge.tools.git import GIT_DIFF, GIT_LOG, GIT_STATUS
from bridge.tools.interaction import ASK_USER_TOOL, UPDATE_PLAN_TOOL
from bridge.tools.search import SEARCH_FILES
from bridge.tools.shell import RUN_COMMAND


def default_tools() -> tuple[Tool[Any], ...]:
    """Returns every tool of an agent, in the order in which the model is told of them."""
    return (
        READ_FILE,
        WRITE_FILE,
        EDIT_FILE,
        LIST_DIRECTORY,
        SEARCH_FILES,
        GIT_STATUS,
        GIT_DIFF,
        GIT_LOG,
        RUN_COMMAND,
        START_PROCESS,
        READ_PROCESS,
        STOP_PROCESS,
        UPDATE_PLAN_TOOL,
        ASK_USER_TOOL,
    )
