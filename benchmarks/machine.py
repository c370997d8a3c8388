"""What the numbers depend on: the machine, its load, and the versions."""

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("aiohttp", "openai", "pydantic", "SQLAlchemy", "slack-sdk")
_PROGRAMS = {
    "git": ("git", "--version"),
    "ripgrep": ("rg", "--version"),
    "engine": ("docker", "version", "--format", "Docker {{.Server.Version}}"),
}


def facts(scratch: Path) -> dict[str, str]:
    """Everything to know before the numbers are compared with others."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "machine": f"{os.cpu_count()} cores, {_processor()}, {pages / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, scratch on {_file_system(scratch)}",
        "load": load(),
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "programs": ", ".join(filter(None, (_said(argv) for argv in _PROGRAMS.values()))),
    }


def load() -> str:
    """The load averages: other work on the machine makes every number worse."""
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _file_system(path: Path) -> str:
    """The type of the file system below `path`: on one in memory, fsync costs nothing."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "an unknown file system"
    holding = [m for m in mounts if path.resolve().is_relative_to(m[1])]
    return max(holding, key=lambda mount: len(mount[1]))[2] if holding else "?"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _said(argv: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=10, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.splitlines()[0].strip() if done.stdout else ""
