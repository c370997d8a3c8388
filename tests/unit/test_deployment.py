"""The files for running the bot as a service, in step with the code."""

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bot.config import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yml").read_text())
BOT: dict[str, Any] = COMPOSE["services"]["bot"]
UNIT = (ROOT / "scripts/threadsmith.service").read_text()


def test_the_data_lie_at_the_same_path_inside_and_outside() -> None:
    data_dir = BOT["environment"]["DATA_DIR"]
    assert f"{data_dir}:{data_dir}" in BOT["volumes"]
    assert BOT["network_mode"] == "host"
    assert BOT["cap_drop"] == ["ALL"]


def test_every_setting_that_is_named_exists() -> None:
    named = set(BOT["environment"]) | set(re.findall(r"^Environment=(\w+)=", UNIT, re.MULTILINE))
    assert named <= {name.upper() for name in Settings.model_fields}


def test_what_the_image_copies_is_in_its_context() -> None:
    dockerfile = (ROOT / BOT["build"]["dockerfile"]).read_text()
    copied = [
        word
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for word in line.split()[:-1]
    ]
    let_through = (ROOT / ".dockerignore").read_text().splitlines()
    assert len(copied) > 6
    assert {f"!{word}" for word in copied} <= set(let_through)
    assert {word for word in copied if "*" not in word and not (ROOT / word).exists()} == set()


def test_the_unit_and_the_image_start_the_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert "threadsmith" in scripts
    assert "ExecStart=/opt/threadsmith/.venv/bin/threadsmith run" in UNIT
    assert 'ENTRYPOINT ["threadsmith"]' in (ROOT / "Dockerfile.bot").read_text()


def test_the_unit_lets_the_bot_set_the_group_bit_of_folders_and_share_tmp() -> None:
    assert "PrivateTmp" not in UNIT
    assert "RestrictSUIDSGID=no" in UNIT


def test_the_unit_and_compose_give_the_bot_the_same_share_of_the_host() -> None:
    entries = dict(re.findall(r"^(\w+)=(.*)$", UNIT, re.MULTILINE))
    assert int(entries["LimitNOFILE"]) == BOT["ulimits"]["nofile"] == 65_536
    assert (entries["MemoryMax"], BOT["mem_limit"]) == ("2G", "2g")
    assert int(entries["TasksMax"]) == BOT["pids_limit"] == 512
    assert entries["CapabilityBoundingSet"] == ""
