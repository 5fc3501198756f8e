"""The configuration of Debezium's connector, of what sources.yml says of a database."""

from __future__ import annotations

import re
from pathlib import Path

from ingestion.capture.tracked import HEARTBEATS, Tracked
from waypoint.errors import UnusableInput

#: How often, in milliseconds, a heartbeat is written; the slot is never further behind than that.
HEARTBEAT_MS = 10_000

_SSL = ("sslmode", "sslrootcert", "sslcert", "sslkey")


def connector_config(tracked: Tracked, secrets: Path | None = None) -> dict[str, str]:
    """What the connector of a database is configured with. No password stands in it.

    `secrets` is the file in which the worker finds the password, where the project's own worker is
    used and sources.yml names no other place.

    Raises:
        UnusableInput: the database needs a password, and nothing says where the worker finds it.
    """
    address = tracked.address
    heartbeats = f"{tracked.schema}.{HEARTBEATS}"
    config = {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": "1",
        # where from
        "database.hostname": address["host"],
        "database.port": address.get("port", "5432"),
        "database.user": address["user"],
        "database.dbname": address["dbname"],
        **{f"database.{name}": address[name] for name in _SSL if name in address},
        "plugin.name": "pgoutput",
        "slot.name": tracked.slot,
        "publication.name": tracked.slot,
        "publication.autocreate.mode": "disabled",
        # what
        "topic.prefix": tracked.name,
        "schema.include.list": tracked.schema,
        "table.include.list": ",".join(
            _pattern(f"{tracked.schema}.{table}") for table in (*tracked.tables, HEARTBEATS)
        ),
        "snapshot.mode": tracked.snapshot,
        # truncates, too
        "skipped.operations": "none",
        "tombstones.on.delete": "true",
        # exact: `precise` makes NaN null, `double` rounds money
        "decimal.handling.mode": "string",
        "interval.handling.mode": "string",
        "binary.handling.mode": "base64",
        # a slot moves on by changes of what is captured only
        "heartbeat.interval.ms": str(HEARTBEAT_MS),
        "heartbeat.action.query": (
            f"insert into {_quoted(tracked.schema)}.{HEARTBEATS} (id, beat_at) values (1, now())"
            " on conflict (id) do update set beat_at = excluded.beat_at"
        ),
        # where to: one topic for all tables; heartbeats to one of their own
        "transforms": "changes,heartbeats",
        **_route(
            "changes",
            "|".join(
                [
                    _pattern(f"{tracked.name}.{tracked.schema}.")
                    + f"(?:{'|'.join(map(_pattern, tracked.tables))})",
                    _pattern(f"{tracked.name}.message"),
                ]
            ),
            tracked.topic,
        ),
        **_route(
            "heartbeats",
            _pattern(f"{tracked.name}.{heartbeats}"),
            f"__debezium-heartbeat.{tracked.name}",
        ),
        "topic.creation.default.replication.factor": "-1",
        "topic.creation.default.partitions": "1",
        "topic.creation.default.retention.ms": "86400000",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        # how
        "exactly.once.support": "required",
        "transaction.boundary": "poll",
        "poll.interval.ms": "50",
        "producer.override.compression.type": "lz4",
    }
    if tracked.password is not None or tracked.password_reference:
        config["database.password"] = _reference(tracked, secrets)
    return config


def _reference(tracked: Tracked, secrets: Path | None) -> str:
    if tracked.password_reference:
        if not re.fullmatch(r"\$\{\w+:.+\}", tracked.password_reference):
            raise UnusableInput(
                f"{tracked.source}: capture's password is no reference that a worker looks up",
                hint="write it as ${file:/path/secrets.properties:name}",
            )
        return tracked.password_reference
    if secrets is None:
        raise UnusableInput(
            f"{tracked.source}: nothing says where the Connect worker finds the password",
            hint="put it into the worker's secrets and name it in sources.yml, capture: {password: "
            "'${file:/path/secrets.properties:name}'}",
        )
    return f"${{file:{secrets}:{tracked.secret}}}"


def _route(name: str, regex: str, topic: str) -> dict[str, str]:
    kind = "org.apache.kafka.connect.transforms.RegexRouter"
    place = f"transforms.{name}"
    return {f"{place}.type": kind, f"{place}.regex": regex, f"{place}.replacement": topic}


def _pattern(text: str) -> str:
    """A Java pattern for exactly this text."""
    return re.sub(r"([^A-Za-z0-9_])", r"\\\1", text)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
