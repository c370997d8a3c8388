"""What becomes of a `.env` when one value of it is set."""

from pathlib import Path

import pytest

from bot.cli.env_file import EnvFile


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "NAME=new\n"),
        ("OTHER=1", "OTHER=1\nNAME=new\n"),
        ("NAME=old\nOTHER=1\n", "NAME=new\nOTHER=1\n"),
        ("export NAME = 'old'\nMY_NAME=3\n", "NAME=new\nMY_NAME=3\n"),
        ("# NAME=example\nA=1\n", "NAME=new\nA=1\n"),
        ("#NAME=\nNAME=old\nA=1\nNAME=older\n", "#NAME=\nA=1\nNAME=new\n"),
        ("NAMES=1\n# about NAME\n", "NAMES=1\n# about NAME\nNAME=new\n"),
    ],
)
def test_one_value_is_set_and_the_rest_stays(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / ".env"
    path.write_text(before)
    EnvFile(path).put("NAME", "new")
    assert path.read_text() == after
    EnvFile(path).put("NAME", "new")
    assert path.read_text() == after
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == [".env"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / ".env").symlink_to("kept/env")
    EnvFile(tmp_path / ".env").put("NAME", "new")
    assert (tmp_path / ".env").is_symlink()
    assert (tmp_path / "kept/env").read_text() == "NAME=new\n"


@pytest.mark.parametrize("value", ["two words", "line\nfeed", "#comment", "$HOME", "'quoted'"])
def test_a_value_that_a_line_cannot_hold_changes_nothing(tmp_path: Path, value: str) -> None:
    with pytest.raises(ValueError, match="holds spaces"):
        EnvFile(tmp_path / ".env").put("NAME", value)
    assert names(tmp_path) == []


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        EnvFile(path).put("NAME", "new")
    assert names(tmp_path) == [".env"]
