"""Changing the key of tokens: a new version of it, under which every token is another one.

Keys are numbered from 1. The key in use stands in `token.key`; those before it stand beside it,
for their owner alone, as long as somebody has to say which new token an old one became.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from ingestion.suppression import write_for_owner
from waypoint.access.account import Account
from waypoint.access.snowflake import rotation
from waypoint.access.tokens import KEY_VARIABLE, fingerprint, key_from_environment, key_of
from waypoint.errors import UnusableInput
from waypoint.project import Project

_KEY, _VERSIONS = "token.key", "token-keys.json"


@dataclass(frozen=True)
class KeyVersion:
    """A version of the key; `fingerprint` tells keys apart and tells nothing of them."""

    version: int
    fingerprint: str
    made_at: str


def versions(project: Project) -> list[KeyVersion]:
    """The versions so far, oldest first; none before the first rotation."""
    path = project.state / _VERSIONS
    if not path.exists():
        return []
    return [KeyVersion(**said) for said in json.loads(path.read_text(encoding="utf-8"))]


def rotate_kept_key(project: Project) -> KeyVersion:
    """Put a new key in the place of the one in the project's state; the old one stays beside it.

    Raises:
        UnusableInput: the key comes from the environment, where it is to be changed.
    """
    if key_from_environment() is not None:
        raise UnusableInput(
            f"the key is what {KEY_VARIABLE} says, so it is changed there",
            hint="set it to a new one (openssl rand -hex 32) and publish again; with --target"
            " snowflake this command then brings it to the account",
        )
    old, path = key_of(project), project.state / _KEY
    known = versions(project) or [KeyVersion(1, fingerprint(old), _made_at(path))]
    write_for_owner(project.state / f"{_KEY}.{known[-1].version}", old)
    new = secrets.token_hex(32)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = KeyVersion(known[-1].version + 1, fingerprint(new), now)
    # the key last: what was interrupted before it has changed no token
    text = json.dumps([asdict(version) for version in [*known, made]], indent=1)
    write_for_owner(path, new)
    write_for_owner(project.state / _VERSIONS, text + "\n")
    return made


def rotate_on_account(account: Account, database: str) -> str:
    """Bring the environment's key to the account as the newest; returns its fingerprint.

    The one that is the newest already is not brought again.

    Raises:
        UnusableInput: no key is set, or it is too short.
        Unavailable: the account refused.
    """
    key = key_from_environment()
    if key is None:
        raise UnusableInput(
            f"{KEY_VARIABLE} is not set", hint="set it to the new key: openssl rand -hex 32"
        )
    account.run(rotation(database), (key, key))
    return fingerprint(key)


def _made_at(path: Path) -> str:
    moment = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return moment.isoformat(timespec="seconds")
