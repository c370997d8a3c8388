"""What a container and its host agree on is what the image and both sides make of it."""

import ast
import re
import sys
from pathlib import Path

from bot.domain.container import (
    SocketDirs,
    sealed_environment,
)
from bridge.config import BridgeSettings
from bridge.container import (
    BRIDGE_PORT,
    BRIDGE_USER,
    CERTIFICATE_VARIABLES,
    RUNNER_USER,
    STATE_FOLDER,
    WORKSPACE_FOLDER,
    Variable,
    is_reserved_variable,
)
from bridge.launcher import runner_environment
from bridge.process.command import environment

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile.bridge").read_text()


def test_the_image_has_these_users_folders_and_port() -> None:
    users = re.findall(r"useradd --uid (\d+) --user-group .* (\w+) \\$", DOCKERFILE, re.MULTILINE)
    assert users == [(str(BRIDGE_USER), "bridge"), (str(RUNNER_USER), "runner")]
    folders = re.findall(r"install -d -o (\w+) -g \w+ -m \d+ (\S+)", DOCKERFILE)
    assert folders == [("bridge", STATE_FOLDER), ("runner", WORKSPACE_FOLDER)]
    assert re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE) == [str(BRIDGE_PORT)]
    assert re.findall(r"user (\d+)", DOCKERFILE) == [str(BRIDGE_USER), str(RUNNER_USER)]


def test_the_image_sets_the_certificates_that_tools_get() -> None:
    assert {name for name in CERTIFICATE_VARIABLES if f"{name}=" not in DOCKERFILE} == set()


def test_the_environment_is_what_the_processes_of_a_container_read() -> None:
    read_by_the_bridge = {name.upper() for name in BridgeSettings.model_fields}
    read_by_the_forwarder = set(
        re.findall(r"Variable\.(\w+)", text_of("bridge/forwarder/__main__.py"))
    )
    assert {str(name) for name in Variable} <= read_by_the_bridge | read_by_the_forwarder
    named_by_the_bot = set(re.findall(r"Variable\.(\w+)", text_of("bot/agents/lifecycle/boot.py")))
    folders = SocketDirs(Path("g"), Path("b"), 1)
    assert named_by_the_bot | set(sealed_environment(folders)) <= {str(name) for name in Variable}


def test_what_tools_get_from_the_sandbox_is_reserved() -> None:
    everything = {str(name): "x" for name in Variable}
    everything |= dict.fromkeys(CERTIFICATE_VARIABLES, "/ca.crt")
    given = {**runner_environment(everything), **environment(Path("/tmp"))}
    assert {"PATH", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE", "CI"} <= set(given)
    assert {name for name in given if not is_reserved_variable(name)} == set()


def test_it_imports_the_standard_library_alone() -> None:
    tree = ast.parse(text_of("bridge/container.py"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {
        a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
    }
    assert modules <= sys.stdlib_module_names


def text_of(path: str) -> str:
    return (ROOT / path).read_text()
