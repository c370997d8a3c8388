"""Encrypts what must not lie on the disk in clear; the keys are a file of their own, or a setting.

The first key encrypts, all of them decrypt: to change the key, put a new one in front; at the next
start everything is encrypted anew, and the old one may go.
"""

import json
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from bot.errors import ConfigurationError
from bot.files import create_private_file

_FILE = "secrets.key"
_MAKE = "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
# What is encrypted is filled up to a multiple of this, so that its size tells nothing.
_PAD_BYTES = 1_024


class CannotDecrypt(Exception):
    """None of the keys opens this, or it was made for another place."""


class Cipher:
    """Encrypts and decrypts short texts. `about` binds a text to its place, and is not secret.

    Raises ValueError for what is no key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise ValueError("no key")
        self.keys = tuple(keys)
        fernets = [Fernet(key) for key in keys]
        self._keys = MultiFernet(fernets)
        self._newest = fernets[0]

    def encrypt(self, text: str, about: str) -> str:
        """Returns the text as printable characters that only the keys open."""
        plain = json.dumps({"about": about, "text": text}).encode()
        filler = -len(plain) % _PAD_BYTES
        return self._newest.encrypt(plain + b" " * filler).decode("ascii")

    def decrypt(self, sealed: str, about: str) -> str:
        """Returns the text that was encrypted for this place; raises CannotDecrypt."""
        try:
            content = json.loads(self._keys.decrypt(sealed.encode()))
        except InvalidToken as error:
            raise CannotDecrypt("no key opens it") from error
        if not isinstance(content, Mapping) or content.get("about") != about:
            raise CannotDecrypt("it was made for another place")
        return str(content["text"])

    def is_current(self, sealed: str) -> bool:
        """Checks whether the first key encrypted it."""
        try:
            self._newest.decrypt(sealed.encode())
        except InvalidToken:
            return False
        return True


def open_cipher(data_dir: Path, keys: str) -> Cipher:
    """Returns a cipher with these keys (commas between), or with those of DATA_DIR/secrets.key.

    The file is made at the first start, mode 0600. Raises ConfigurationError, without the key.
    """
    path = data_dir / _FILE
    source = "SECRETS_KEY" if keys.strip() else str(path)
    listed = keys.replace(",", " ").split() if keys.strip() else _from_file(path)
    try:
        return Cipher(listed)
    except ValueError as error:
        raise ConfigurationError(
            f"{source} holds something that is no key: each must be 32 bytes as URL-safe base64. "
            f"Make one with: {_MAKE}"
        ) from error


def _from_file(path: Path) -> Sequence[str]:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_private_file(path, Fernet.generate_key() + b"\n")
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ConfigurationError(
                f"{path} is readable for others (mode {mode:04o}). Run: chmod 600 {path}"
            )
        return path.read_text(encoding="ascii", errors="replace").split()
    except OSError as error:
        raise ConfigurationError(
            f"DATA_DIR: {path} cannot be read or made ({error.strerror}). Make the directory "
            "writable for the bot, or name another one."
        ) from error
