"""Tokens: what stands in the place of personal data where rows must still be told apart.

A token is `sha256(key || sha256(key || value))` in hexadecimal digits. Both warehouses have the
function (`sha256`, `sha2`), so a value has the same token on both. It is built as HMAC is, twice
around: without the key nobody can make tokens of guessed values, nor lengthen one.

The key comes from the environment. It is bound as a parameter, so it stands in no statement, log or
compiled file, and in no copy.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from waypoint.errors import UnusableInput
from waypoint.project import Project

#: The variable that holds the key; what is set there is used as it is, as text.
KEY_VARIABLE = "WAYPOINT_TOKEN_KEY"
#: A shorter key could be guessed.
SHORTEST = 32

_OWNER_ONLY = 0o600


def token(key: str, value: str) -> str:
    """The token of a value: 64 hexadecimal digits."""
    return _sha256(key + _sha256(key + value))


def fingerprint(key: str) -> str:
    """What tells keys apart: 12 hexadecimal digits, by which nobody can guess a key."""
    return _sha256(f"fingerprint of {key}")[:12]


def duckdb_token(column: str) -> str:
    """DuckDB's expression for the token of a column; `$key` is to be bound."""
    return f"sha256($key || sha256($key || {column}))"


def snowflake_token(key: str, value: str) -> str:
    """Snowflake's expression for a token; both arguments are expressions."""
    return f"sha2({key} || sha2({key} || {value}, 256), 256)"


def key_from_environment() -> str | None:
    """The key that the environment sets.

    Raises:
        UnusableInput: it is too short.
    """
    key = os.environ.get(KEY_VARIABLE)
    if key is not None and len(key) < SHORTEST:
        raise UnusableInput(
            f"{KEY_VARIABLE} has {len(key)} characters, which could be guessed",
            hint=f"take at least {SHORTEST}: openssl rand -hex 32",
        )
    return key


def key_of(project: Project) -> str:
    """The key: the environment's, else one that is made once and kept in the project's state.

    Raises:
        UnusableInput: the environment's is too short, or others can read the file.
    """
    return key_from_environment() or _kept_key(project.state / "token.key")


def _kept_key(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except FileExistsError:
        return _read_key(path)
    key = secrets.token_hex(32)
    with os.fdopen(descriptor, "w") as file:
        file.write(key)
    return key


def _read_key(path: Path) -> str:
    if path.stat().st_mode & 0o077:
        raise UnusableInput(
            f"{path} can be read by others than its owner", hint=f"chmod 600 {path}"
        )
    key = path.read_text().strip()
    if len(key) < SHORTEST:
        raise UnusableInput(
            f"{path} holds no whole key",
            hint=f"remove it for a new one (all tokens change), or set {KEY_VARIABLE}",
        )
    return key


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
