"""Starts the container's processes, each as its own user, and starts them again when they end.

It is root with no right but to become another user, reads nothing that comes from the
workspace, and ends with the bridge. The bridge gets a connection to each runner from it.
"""

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from bridge.container import (
    BRIDGE_USER,
    CERTIFICATE_VARIABLES,
    EGRESS_PORT,
    FORWARDER_EGRESS,
    GATEWAY_PORT,
    LOOPBACK,
    PROXY_VARIABLES,
    RUNNER_USER,
    SYSTEM_PATH,
    WORKSPACE_FOLDER,
    Variable,
)

_NOBODY = 65534
_RUNNER_NICE = 15  # the bridge answers while the tools take all the processor they get
_QUICK_SECONDS = 1.0  # who ends sooner is not started again at once
_PAUSE_SECONDS = 0.5


class Launcher:
    """Runs the processes of one container."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._workspace = environ.get(Variable.WORKSPACE_DIR) or WORKSPACE_FOLDER
        group = environ.get(Variable.SOCKET_GID) or ""
        self._groups = [int(group)] if group.isdigit() else []
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._names: dict[int, str] = {}
        self._started: dict[str, float] = {}
        self._bridge = 0
        self._listeners: list[socket.socket] = []

    def run(self) -> int:
        """Starts everything, and returns the bridge's exit status when that has ended."""
        woken, waker = socket.socketpair()
        for end in (woken, waker, self._ours):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self._open_listeners()
        self._start("bridge", self._become_bridge)
        self._theirs.close()
        self._start_runner()
        if self._listeners:
            self._start("forwarder", self._become_forwarder)
        with selectors.DefaultSelector() as selector:
            selector.register(woken, selectors.EVENT_READ)
            selector.register(self._ours, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if woken in ready:
                    status = self._signalled(woken.recv(256))
                    if status is not None:
                        return status
                if self._ours in ready and not self._read_request():
                    selector.unregister(self._ours)

    def _open_listeners(self) -> None:
        """Opens the forwarder's ports first, so that early connections wait in the backlog."""
        environ = self._environ
        if environ.get(Variable.GATEWAY_SOCKET) or environ.get(Variable.GATEWAY_ADDRESS):
            ports = [GATEWAY_PORT, *([EGRESS_PORT] if environ.get(Variable.EGRESS_SOCKET) else [])]
            self._listeners = [socket.create_server((LOOPBACK, p), backlog=128) for p in ports]

    def _signalled(self, numbers: bytes) -> int | None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            _as_user(BRIDGE_USER, lambda: os.kill(self._bridge, signal.SIGTERM))
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 1
            if not pid:
                return None
            name = self._names.pop(pid, "")
            if name == "bridge":
                code = os.waitstatus_to_exitcode(status)
                return 128 - code if code < 0 else code
            if name:
                self._again(name)

    def _read_request(self) -> bool:
        """Reads the bridge's request, which can only be for another runner; False: it is gone."""
        try:
            request = self._ours.recv(16)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if request == b"another":
            _end_all_of(RUNNER_USER)  # the runner too, and its end is what starts the next one
        return bool(request)

    def _again(self, name: str) -> None:
        if time.monotonic() - self._started[name] < _QUICK_SECONDS:
            time.sleep(_PAUSE_SECONDS)
        sys.stderr.write(f"threadsmith launcher: the {name} ended and is started again\n")
        if name == "runner":
            _end_all_of(RUNNER_USER)
            self._start_runner()
        else:
            self._start(name, self._become_forwarder)

    def _start_runner(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._start("runner", lambda: self._become_runner(theirs.fileno()))
            with suppress(OSError):  # the bridge is ending
                socket.send_fds(self._ours, [b"runner"], [ours.fileno()])

    def _start(self, name: str, become: Callable[[], None]) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                become()
            except BaseException as error:  # noqa: BLE001  (this process is a child of ours)
                sys.stderr.write(f"threadsmith launcher: the {name} does not start: {error}\n")
            finally:
                os._exit(1)
        self._names[pid] = name
        self._started[name] = time.monotonic()
        if name == "bridge":
            self._bridge = pid

    def _become_bridge(self) -> None:
        _drop_to(BRIDGE_USER, self._groups)
        os.set_inheritable(self._theirs.fileno(), True)
        environ = {**self._environ, Variable.LAUNCHER_FD.value: str(self._theirs.fileno())}
        os.execve(sys.executable, [*_PYTHON, "bridge"], environ)

    def _become_forwarder(self) -> None:
        _drop_to(BRIDGE_USER, self._groups)
        for listener in self._listeners:
            os.set_inheritable(listener.fileno(), True)
        numbers = ",".join(str(listener.fileno()) for listener in self._listeners)
        environ = {**self._environ, Variable.FORWARDER_FDS.value: numbers}
        os.execve(sys.executable, [*_PYTHON, "bridge.forwarder"], environ)

    def _become_runner(self, connection: int) -> None:
        os.nice(_RUNNER_NICE)
        _drop_to(RUNNER_USER, [])
        os.chdir(self._workspace)
        os.umask(0o022)
        os.set_inheritable(connection, True)
        arguments = ["bridge.runner", str(connection), self._workspace, str(RUNNER_USER)]
        os.execve(sys.executable, [*_PYTHON, *arguments], runner_environment(self._environ))


_PYTHON = [sys.executable, "-I", "-u", "-m"]


def runner_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the runner's environment: of the container's own only the certificate paths.

    Where the sandbox is sealed, tools reach the web through the forwarder.
    """
    fixed = {"PATH": SYSTEM_PATH, "HOME": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108  (in the container)
    carried = {name: environ[name] for name in CERTIFICATE_VARIABLES if environ.get(name)}
    proxies = {}
    if environ.get(Variable.EGRESS_SOCKET):
        proxies = dict.fromkeys(PROXY_VARIABLES, f"http://{FORWARDER_EGRESS}")
        proxies |= dict.fromkeys(("NO_PROXY", "no_proxy"), f"{LOOPBACK},localhost")
    return fixed | carried | proxies


def _drop_to(user: int, groups: list[int]) -> None:
    """Becomes this user for good; no capability is left then."""
    os.setgroups(groups)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def _as_user(user: int, act: Callable[[], None]) -> None:
    """Acts with the rights of a user for a moment: root itself may not signal others.

    Only the effective user is that one, so that its processes cannot signal this one.
    """
    os.setresuid(_NOBODY, user, 0)
    try:
        with suppress(ProcessLookupError, PermissionError):
            act()
    finally:
        os.setresuid(0, 0, 0)


def _end_all_of(user: int) -> None:
    _as_user(user, lambda: os.kill(-1, signal.SIGKILL))


def main() -> int:
    """Runs the container until the bridge ends; returns the exit status of the process."""
    if sys.argv[1:]:
        os.execv(sys.executable, [*_PYTHON, "bridge", *sys.argv[1:]])
    if os.geteuid() != 0:
        sys.stderr.write(
            "threadsmith launcher: it has to be started as root with the capabilities SETUID and "
            "SETGID; it gives both up for everything that it starts\n"
        )
        return 2
    return Launcher(os.environ).run()


if __name__ == "__main__":
    sys.exit(main())
