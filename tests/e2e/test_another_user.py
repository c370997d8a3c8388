"""A bot that is not root and seals its containers: sockets by group, and the tools shut out."""

import asyncio
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.server import PlaygroundSettings, running
from tests.e2e.conftest import ROOT, Bot, deployed

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user"),
]

# Nobody else on this machine, and neither user of the containers.
USER, GROUP = 47_110, 47_111
ENGINE_SOCKET = Path("/var/run/docker.sock")


class OtherUsersBot(Bot):
    """The bot as a user who has the engine's group, as the service has."""

    def command(self) -> list[str]:
        engine_group = ENGINE_SOCKET.stat().st_gid
        become = [
            *("setpriv", f"--reuid={USER}", f"--regid={GROUP}", f"--groups={engine_group}"),
            *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", *super().command()),
        ]
        script = [*_opened(Path(sys.base_prefix), ROOT), f"exec {shlex.join(become)}"]
        return ["unshare", "--mount", "--propagation=private", "sh", "-ec", "\n".join(script)]


def _opened(*needed: Path) -> Iterator[str]:
    """Shell lines for a mount namespace in which everybody may read these folders."""
    for path in needed:
        shut = [one for one in path.parents if not one.stat().st_mode & stat.S_IXOTH]
        if shut:
            top, here = shlex.quote(str(shut[-1])), shlex.quote(str(path))
            yield f"mount --bind {here} /mnt"
            yield f"mountpoint -q {top} || mount -t tmpfs -o mode=755 tmpfs {top}"
            yield f"mkdir -p {here}; mount --bind /mnt {here}; umount /mnt"


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Its own folder, where pytest's are root's alone."""
    with tempfile.TemporaryDirectory(prefix="threadsmith-") as made:
        folder = Path(made)
        os.chown(folder, USER, GROUP)
        yield folder


async def test_a_bot_that_is_not_root_seals_its_containers(engine: None, data_dir: Path) -> None:
    async with (
        running(PlaygroundSettings()) as playground,
        deployed(playground, data_dir, bot_type=OtherUsersBot) as deployment,
    ):
        bot = deployment.bot
        assert bot.process
        facts = Path(f"/proc/{bot.process.pid}/status").read_text()
        status = dict(line.split(":\t", 1) for line in facts.splitlines() if ":\t" in line)
        assert status["Uid"].split() == [str(USER)] * 4
        assert status["CapEff"].strip("0") == ""
        ana = deployment.person("ana")
        thread = await ana.say("demo/todo fix the failing test", "dev", mention=True)
        await deployment.wait_for_reply("all pass", thread, "dev")
        [container] = bot.containers()
        folder = bot.sockets(container)
        _belong_to_the_group(folder)
        for path in ("/run/gateway", "/run/bridge", "/run/bridge/bridge.sock"):
            assert await _exit_status(container, "ls", path) != 0, path
        for path in ("/run/gateway/gateway.sock", "/run/bridge/bridge.sock"):
            curl = ("curl", "-s", "--unix-socket", path, "http://x/health")
            assert await _exit_status(container, *curl) == 7, path  # no connection
        # A bot that is started again takes both sockets up again.
        await bot.end()
        await bot.start()
        await ana.say("what did you change?", "dev", thread)
        await deployment.wait_for_reply("This is task 2", thread, "dev")
        assert bot.containers() == [container]
        await deployment.stop_agent(thread)
        assert not folder.exists()


def _belong_to_the_group(folder: Path) -> None:
    bridge = folder / "bridge/bridge.sock"
    for path, owner, mode in (
        (folder, USER, 0o700),
        (folder / "gateway", USER, 0o750),
        (folder / "gateway/gateway.sock", USER, 0o660),
        (folder / "bridge", USER, 0o2770),
        (bridge, 10_001, 0o660),  # the bridge made it, for the group that the bot has named
    ):
        facts = path.lstat()
        assert (facts.st_uid, facts.st_gid) == (owner, GROUP), path
        assert stat.S_IMODE(facts.st_mode) == mode, path


async def _exit_status(container: str, *command: str) -> int:
    """Of a program that the tools' user runs inside."""
    process = await asyncio.create_subprocess_exec(
        *("docker", "exec", "--user", "10002", container, *command),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait()
