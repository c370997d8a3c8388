from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from bot.agents.access.encryption import CannotDecrypt, Cipher, open_cipher
from bot.errors import ConfigurationError

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_a_text_comes_back_and_only_at_its_own_place() -> None:
    vault = Cipher([OLD])
    sealed = vault.encrypt("canary é", "user U1")
    assert "canary" not in sealed
    assert vault.decrypt(sealed, "user U1") == "canary é"
    with pytest.raises(CannotDecrypt):
        vault.decrypt(sealed, "user U2")


@pytest.mark.parametrize("damaged", ["", "x", "é", "gAAAA" * 50])
def test_what_no_key_opens_is_refused(damaged: str) -> None:
    with pytest.raises(CannotDecrypt):
        Cipher([OLD]).decrypt(damaged, "a")
    with pytest.raises(CannotDecrypt):
        Cipher([NEW]).decrypt(Cipher([OLD]).encrypt("canary", "a"), "a")


def test_the_size_tells_nothing_about_the_length() -> None:
    vault = Cipher([OLD])
    assert len({len(vault.encrypt("x" * length, "a")) for length in (1, 20, 100, 900)}) == 1


def test_a_new_key_in_front_still_opens_what_the_old_one_made() -> None:
    sealed = Cipher([OLD]).encrypt("canary", "a")
    both = Cipher([NEW, OLD])
    assert both.decrypt(sealed, "a") == "canary"
    assert not both.is_current(sealed)
    assert both.is_current(both.encrypt("canary", "a"))


def test_the_key_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    first = open_cipher(data_dir, "")
    path = data_dir / "secrets.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert open_cipher(data_dir, "").keys == first.keys
    assert [entry.name for entry in data_dir.iterdir()] == ["secrets.key"]


def test_a_key_in_the_settings_needs_no_file(tmp_path: Path) -> None:
    assert open_cipher(tmp_path, f"{NEW}, {OLD}").keys == (NEW, OLD)
    assert not (tmp_path / "secrets.key").exists()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    open_cipher(tmp_path, "")
    (tmp_path / "secrets.key").chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        open_cipher(tmp_path, "")


@pytest.mark.parametrize(
    "wrong", ["canary", "canary,canary", f"{OLD},canary"], ids=["one", "two", "after a good one"]
)
def test_what_is_no_key_is_said_without_repeating_it(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="SECRETS_KEY") as caught:
        open_cipher(tmp_path, wrong)
    assert "canary" not in str(caught.value)
    (tmp_path / "secrets.key").write_text("")
    (tmp_path / "secrets.key").chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"secrets\.key"):
        open_cipher(tmp_path, "")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        open_cipher(tmp_path / "file", "")
