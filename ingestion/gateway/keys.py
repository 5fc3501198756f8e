"""Who may send: API keys, of which the gateway knows the hashes only.

Keys come from two places, which may be used together:

- `WAYPOINT_GATEWAY_KEYS`: `name:key`, several separated by commas;
- the file that `WAYPOINT_GATEWAY_KEYS_FILE` names: a line `name:sha256-in-hex` for each client,
  `#` begins a comment. `waypoint gateway --new-key NAME` makes a key and its line.

A key is random, not chosen by a person, so a plain SHA-256 of it cannot be guessed back.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ingestion.gateway.settings import PREFIX
from waypoint.errors import UnusableInput

VARIABLE = f"{PREFIX}KEYS"
#: Shorter ones could be tried out.
SHORTEST = 16

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Keys:
    """The clients' names and the hashes of their keys. Empty: everybody may send."""

    hashes: tuple[tuple[str, bytes], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.hashes)

    def client(self, key: str) -> str | None:
        """Whose key it is; None: nobody's. Takes as long for the one as for the other."""
        given = _hash(key)
        found = None
        for name, known in self.hashes:
            # all are compared, so that the time does not tell how far the search went
            if hmac.compare_digest(given, known):
                found = name
        return found


def read_keys(environment: Mapping[str, str], file: Path | None) -> Keys:
    """The keys that the environment and the file of hashes tell.

    Raises:
        UnusableInput: an entry is none, or a name stands twice. Keys are never repeated in errors.
    """
    hashes: dict[str, bytes] = {}
    for number, entry in enumerate(_entries(environment.get(VARIABLE, "")), start=1):
        name, key = _entry(entry, f"{VARIABLE}, entry {number}", hashes)
        if len(key) < SHORTEST:
            raise UnusableInput(
                f"{VARIABLE}, entry {number} ({name}): the key is shorter than {SHORTEST}",
                hint=f"waypoint gateway --new-key {name} makes one",
            )
        hashes[name] = _hash(key)
    for number, line in _lines(file):
        name, text = _entry(line, f"{file}, line {number}", hashes)
        if not _HASH.fullmatch(text):
            raise UnusableInput(
                f"{file}, line {number} ({name}): what follows the name is no SHA-256 in hex",
                hint="the file holds hashes, not keys; waypoint gateway --new-key makes a line",
            )
        hashes[name] = bytes.fromhex(text)
    return Keys(tuple(hashes.items()))


def new_key(name: str) -> tuple[str, str]:
    """A new key for the client `name`, and the line for the file of hashes.

    Raises:
        UnusableInput: `name` cannot be a client's name.
    """
    if not _NAME.fullmatch(name):
        raise UnusableInput(f"{name!r} is no name of letters, digits, '.', '_' and '-'")
    key = secrets.token_urlsafe(32)
    return key, f"{name}:{_hash(key).hex()}"


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _entry(entry: str, where: str, known: Mapping[str, bytes]) -> tuple[str, str]:
    name, colon, rest = entry.partition(":")
    if not colon or not _NAME.fullmatch(name.strip()):
        raise UnusableInput(f"{where}: is not of the form name:...")
    if name.strip() in known:
        raise UnusableInput(f"{where}: the client {name.strip()} stands there twice")
    return name.strip(), rest.strip()


def _lines(file: Path | None) -> list[tuple[int, str]]:
    if file is None:
        return []
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise UnusableInput(f"{file}: the keys cannot be read: {reason}") from None
    lines = ((n, line.partition("#")[0].strip()) for n, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line]
