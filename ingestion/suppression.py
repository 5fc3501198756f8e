"""The suppression list: whose rows are left out at landing, since their data was erased.

It holds keyed hashes of ids, none of the ids. A source that still has the rows, a file that is
dropped again and a topic that is replayed bring nothing back, whichever way they land. The hashes
have a key of their own, which is never changed: without the ids no others can be made.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from ingestion.belonging import DUCKDB, belongs, readable, usable
from ingestion.landing import LandingArea
from waypoint.contracts.model import Contract
from waypoint.contracts.person_keys import person_keys
from waypoint.errors import UnusableInput

#: The variable with the key of the hashes; without it one is made and kept.
KEY_VARIABLE = "WAYPOINT_SUPPRESSION_KEY"
SHORTEST = 32

_LIST, _KEY = "suppressed.json", "suppression.key"
_OWNER_ONLY = 0o600
_SUPPRESSED, _KEYS = "temp.suppressed_ids", "temp.suppression_key"
_PAYLOAD = "_payload"


def suppressed(area: LandingArea) -> dict[str, frozenset[str]]:
    """The hashes of suppressed ids by their kind; empty where nobody was erased.

    Raises:
        UnusableInput: the list cannot be read, or was made with another key.
    """
    path = area.root / _LIST
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = {str(kind): frozenset(hashes) for kind, hashes in document["ids"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnusableInput(
            f"{path} cannot be read, and says whose rows must not land",
            hint="restore it from a copy; landing without it would bring erased people back",
        ) from None
    if document.get("key") != _fingerprint(_key(area, make=False)):
        raise UnusableInput(
            f"{path} was made with another key, so that nobody in it would be found",
            hint=f"set {KEY_VARIABLE} to the key that it was made with",
        )
    return found


def stamp(area: LandingArea) -> int:
    """What changes with the list; 0 where nobody was erased."""
    try:
        return (area.root / _LIST).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def suppress(area: LandingArea, root: str, ids: Mapping[str, Iterable[str]]) -> int:
    """Add ids, by their kind, to the list; returns how many are new to it.

    `root` is the kind of people's own ids.

    Raises:
        UnusableInput: the list cannot be read, or was made with another key.
    """
    key = _key(area, make=True)
    before = suppressed(area)
    after = {kind: set(hashes) for kind, hashes in before.items()}
    for kind, values in ids.items():
        after.setdefault(kind, set()).update(id_hash(key, kind, value) for value in values)
    document = {
        "root": root,
        "key": _fingerprint(key),
        "ids": {kind: sorted(hashes) for kind, hashes in sorted(after.items())},
    }
    write_for_owner(area.root / _LIST, json.dumps(document, indent=1) + "\n")
    return sum(map(len, after.values())) - sum(map(len, before.values()))


def person_hash(area: LandingArea, kind: str, value: str) -> str:
    """What an id is called where the id itself must not stand."""
    return id_hash(_key(area, make=True), kind, value)


@dataclass(frozen=True)
class LeftOut:
    """Rows of which some belong to people who were erased.

    `relation` is what was asked about with the columns `added`, over which `condition` is read.
    """

    relation: str
    condition: str
    added: tuple[str, ...]

    def without(self, condition: str) -> str:
        """A select of the rows for which `condition` holds, as they were."""
        exclude = f" exclude ({', '.join(self.added)})" if self.added else ""
        return f"select *{exclude} from {self.relation} where {condition}"


def left_out(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    query: str,
    columns: Collection[str],
    area: LandingArea,
) -> LeftOut | None:
    """Which rows of a query with `columns` belong to somebody who was erased.

    None where nobody was, or where the contract has no keys of people. The ids' hashes are put
    into temporary tables of the connection.

    Raises:
        UnusableInput: the list cannot be read, or was made with another key.
    """
    if not (area.root / _LIST).exists():
        return None
    keys = usable(person_keys(contract), columns)
    hashes = suppressed(area)
    if not keys or not hashes:
        return None
    _fill(connection, hashes, _key(area, make=False))
    payload = _PAYLOAD if _PAYLOAD in columns else None
    rows = readable(f"({query})", keys, DUCKDB, payload)
    return LeftOut(rows.relation, belongs(rows, _root(area), _is_suppressed), rows.added)


def _is_suppressed(kind: str, text: str) -> str:
    key = f"(select key from {_KEYS})"
    hashed = f"sha256({key} || sha256({key} || '{kind}=' || {text}))"
    return f"coalesce({hashed} in (select id from {_SUPPRESSED} where kind = '{kind}'), false)"


def _fill(
    connection: duckdb.DuckDBPyConnection, hashes: Mapping[str, Iterable[str]], key: str
) -> None:
    connection.execute("create or replace temp table suppression_key (key varchar)")
    # bound, so that it stands in no statement
    connection.execute("insert into suppression_key values (?)", [key])
    connection.execute("create or replace temp table suppressed_ids (kind varchar, id varchar)")
    rows = [(kind, value) for kind, values in hashes.items() for value in sorted(values)]
    connection.execute(
        "insert into suppressed_ids select unnest(?), unnest(?)",
        [[kind for kind, _ in rows], [value for _, value in rows]],
    )


def id_hash(key: str, kind: str, value: str) -> str:
    """The keyed hash of an id; as a token of `waypoint.access.tokens`, of `<kind>=<id>`."""
    return _sha256(key + _sha256(f"{key}{kind}={value}"))


def _root(area: LandingArea) -> str:
    return str(json.loads((area.root / _LIST).read_text(encoding="utf-8"))["root"])


def _key(area: LandingArea, make: bool) -> str:
    key = os.environ.get(KEY_VARIABLE)
    path = area.root.parent / _KEY
    if key is None and path.exists():
        key = path.read_text(encoding="utf-8").strip()
    elif key is None and make and not (area.root / _LIST).exists():
        key = secrets.token_hex(32)
        write_for_owner(path, key)
    if key is None:
        raise UnusableInput(
            f"the key of the suppression list is missing: {path} is not there",
            hint=f"restore it, or set {KEY_VARIABLE}; with another key erased people would return",
        )
    if len(key) < SHORTEST:
        raise UnusableInput(
            f"the key of the suppression list has {len(key)} characters, which could be guessed",
            hint=f"take at least {SHORTEST}: openssl rand -hex 32",
        )
    return key


def write_for_owner(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _OWNER_ONLY)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _fingerprint(key: str) -> str:
    return _sha256("fingerprint of " + key)[:16]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
