"""Snowpipe Streaming on the account that the environment names."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from ingestion.loading.snowflake import SnowflakeWarehouse, connected
from ingestion.snowflake_account import connection_arguments
from ingestion.stream.sinks.snowpipe import SnowpipeSink
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project


def snowpipe_sink(project: Project, source: str) -> SnowpipeSink:
    """The sink of the account that the environment names, as for loading.

    Raises:
        UnusableInput: a variable is missing, or the key cannot be read.
    """
    arguments = connection_arguments(os.environ)
    return SnowpipeSink(
        client_properties(arguments), arguments["database"], source, _Account(project)
    )


def client_properties(arguments: Mapping[str, str]) -> dict[str, str]:
    """The streaming client's properties, of the connector's arguments.

    Raises:
        UnusableInput: there is no private key, or it cannot be read.
    """
    from cryptography.hazmat.primitives import serialization

    file = arguments.get("private_key_file")
    if not file:
        raise UnusableInput(
            "Snowpipe Streaming needs a key pair; a password is not enough",
            hint="set SNOWFLAKE_PRIVATE_KEY_PATH, and SNOWFLAKE_PRIVATE_KEY_PASSPHRASE if the key"
            " has one",
        )
    passphrase = arguments.get("private_key_file_pwd")
    try:
        with open(file, "rb") as opened:
            key = serialization.load_pem_private_key(
                opened.read(), passphrase.encode() if passphrase else None
            )
    except OSError as error:
        raise UnusableInput(f"SNOWFLAKE_PRIVATE_KEY_PATH: {file}: {error.strerror}") from None
    except (TypeError, ValueError):
        raise UnusableInput(
            f"SNOWFLAKE_PRIVATE_KEY_PATH: {file} is no private key that can be read",
            hint="a PEM file; SNOWFLAKE_PRIVATE_KEY_PASSPHRASE opens it if it is encrypted",
        ) from None
    account = arguments["account"]
    host = arguments.get("host") or (f"{account.lower().replace('_', '-')}.snowflakecomputing.com")
    return {
        "account": account,
        "user": arguments["user"],
        "role": arguments["role"],
        "url": f"https://{host}",
        "private_key": key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    }


class _Account:
    """Answers queries on the account that the environment names, over one connection."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()  # the loader's threads ask
        self._connection = ExitStack()
        self._warehouse: SnowflakeWarehouse | None = None

    def __call__(self, statement: str) -> Sequence[tuple[Any, ...]]:
        with self._lock:
            try:
                if self._warehouse is None:
                    self._warehouse = self._connection.enter_context(connected(self._project))
                return self._warehouse.query(statement)
            except Unavailable:
                # its session may have ended; who asks again gets a new one
                self._warehouse = None
                with suppress(Exception):
                    self._connection.close()
                raise
