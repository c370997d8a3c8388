"""Makes the folders and sockets of sealed containers on this host, and sets who may use them.

A folder belongs to the bot and to one group. In the container only the bridge and the forwarder
are in that group; the tools' user is shut out of both folders.
"""

import os
import shutil
import socket
import stat
from collections.abc import Collection
from pathlib import Path

from bot.domain.container import SocketDirs
from bot.errors import ConfigurationError
from bot.files import socket_address
from bridge.container import BRIDGE_USER, RUNNER_USER

_BACKLOG = 128


class SocketDirStore:
    """Keeps the folders of one deployment below `root`; `user` and `group` are this process's."""

    def __init__(self, root: Path, user: int | None = None, group: int | None = None) -> None:
        self._root = root
        self._user = os.getuid() if user is None else user
        own = os.getgid() if group is None else group
        # Root's own group would give the bridge more than the sockets.
        self._gid = own if self._user else BRIDGE_USER

    def prepare_root(self) -> None:
        """Makes the root folder, for the bot alone; raises ConfigurationError."""
        if RUNNER_USER in (self._user, self._gid):
            raise ConfigurationError(
                f"The bot runs as user {self._user}, group {self._gid}. {RUNNER_USER} is the "
                "tools' own in the containers, to whom the bot's sockets would be open. Run the "
                "bot as another user, or set SANDBOX_NETWORK=open."
            )
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                f"DATA_DIR: {self._root} cannot be made ({error.strerror}). Make the directory "
                "writable for the bot, or set SANDBOX_NETWORK=open."
            ) from error

    def dirs_of(self, agent_id: str) -> SocketDirs:
        """Returns the paths of this agent's folders, which may not exist yet."""
        own = self._root / agent_id
        return SocketDirs(own / "gateway", own / "bridge", self._gid)

    def make_dirs(self, agent_id: str) -> SocketDirs:
        """Makes the agent's folders, or corrects the modes of existing ones; raises OSError."""
        folders = self.dirs_of(agent_id)
        folders.gateway.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The container sees the first one read-only, and makes its own socket in the second.
        for folder, mode in ((folders.gateway, 0o750), (folders.bridge, 0o2770)):
            folder.mkdir(exist_ok=True)
            os.chown(folder, -1, self._gid)
            folder.chmod(mode)
        return folders

    def remove_dirs(self, agent_id: str) -> None:
        """Removes the agent's folders, if they exist. Raises OSError."""
        own = self._root / agent_id
        if own.exists():
            shutil.rmtree(own)

    def agents_beyond(self, agent_ids: Collection[str]) -> list[str]:
        """Returns the agents, other than these, that have folders."""
        return [path.name for path in self._root.iterdir() if path.name not in agent_ids]

    def listen_at(self, path: Path) -> socket.socket:
        """Opens a listening socket at `path` for the group, in place of an older one.

        Raises OSError.
        """
        if os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is there and is no socket")
        # Under another name first: at `path` there is never a socket that is not ready.
        fresh = path.with_name(".new")
        fresh.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            with socket_address(fresh) as address:
                listener.bind(address)
            os.chown(fresh, -1, self._gid)
            fresh.chmod(0o660)
            listener.listen(_BACKLOG)
            fresh.rename(path)
        except BaseException:
            listener.close()
            raise
        return listener
