"""Starts the runner: performs for the bridge, as the tools' user, what touches the workspace.

It ends when the bridge closes their connection. Its user owns no other process, so that whatever
an operation leaves behind can be ended by its user id.
"""

import asyncio
import socket
import sys
from pathlib import Path

from bridge.process.logs import set_up_logs
from bridge.process.prctl import hide_from_siblings
from bridge.process.tree import own_the_user
from bridge.runner.operations import LocalRunner
from bridge.runner.server import serve
from bridge.workspace.filesystem import Workspace

_HOME = Path("/tmp/threadsmith-home")  # noqa: S108  (in the container)
# Its children go first when memory runs out, then this process, and the bridge last.
_OOM_SCORE = "500"


def main() -> int:
    """Serves the connection that this descriptor is; usage: bridge.runner FD WORKSPACE USER."""
    set_up_logs(())
    own_the_user(int(sys.argv[3]))
    Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)  # not its own any more once it hides
    hide_from_siblings()
    connection = socket.socket(fileno=int(sys.argv[1]))
    asyncio.run(serve(connection, LocalRunner(Workspace(Path(sys.argv[2])), _HOME)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
