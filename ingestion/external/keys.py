"""The keys that services ask for: from the environment, or from connections as Airflow has them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from ingestion.external.entry import Entry

#: Gives the password of a connection by its name, None where there is no such connection.
Connections = Callable[[str], str | None]

_PREFIX = "AIRFLOW_CONN_"


def connections_of(environment: Mapping[str, str] | None = None) -> Connections:
    """The connections that stand in the environment: AIRFLOW_CONN_<NAME> as a URI or as JSON."""
    values = os.environ if environment is None else environment

    def password(name: str) -> str | None:
        written = values.get(f"{_PREFIX}{name.upper()}")
        if not written:
            return None
        if written.lstrip().startswith("{"):
            try:
                return str(json.loads(written).get("password") or "") or None
            except ValueError:
                return None
        try:
            found = urlsplit(written).password
        except ValueError:
            return None
        return unquote(found) if found else None

    return password


def key_of(entry: Entry, connections: Connections) -> str | None:
    """The key that goes with the entry's requests; None where it asks for none or there is none."""
    if entry.auth is None:
        return None
    if entry.auth.connection is not None:
        return connections(entry.auth.connection)
    return entry.auth.key


def missing_for(entry: Entry, key: str | None) -> tuple[str, ...]:
    """What has to be set before the entry can be fetched: names of variables and connections."""
    if entry.auth is not None and not key and entry.auth.connection is not None:
        return (*entry.missing, f"{_PREFIX}{entry.auth.connection.upper()}")
    return entry.missing
