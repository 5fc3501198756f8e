"""The Snowflake sink connector's configuration, for those who run Kafka Connect beside Snowflake.

It does what the stream loader does with Snowpipe Streaming, save for the checks: rows arrive as one
JSON value and its metadata in `<table>_arrivals`, and the task beside the configuration makes
rows of the contract's columns of them. The connector drops repeats by the offsets that its channels
have committed; messages that are no JSON go to the topic's dead letters.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from waypoint.contracts.model import RAW, Column, Contract, Contracts

_FILE = "${file:/etc/kafka-connect/secrets/snowflake.properties:"
#: What the stream adds to a message's fields, by where the connector says it.
_METADATA = {
    "_partition": "record_metadata:partition",
    "_offset": "record_metadata:offset",
    "_kafka_timestamp": "to_timestamp_ntz(record_metadata:CreateTime::bigint, 3)",
    "_key": "record_metadata:key",
    "_payload": "to_json(record_content)",
    "_source": "'snowflake_connector'",
    "_batch": "record_metadata:topic || '-' || record_metadata:partition",
    "_loaded_at": "current_timestamp()",
}


@dataclass(frozen=True)
class Sink:
    """The connector of one topic, and the SQL of where its rows arrive."""

    connector: str
    config: dict[str, str]
    sql: str

    @property
    def text(self) -> str:
        """Both, for people."""
        document = {"name": self.connector, "config": self.config}
        return f"{self.sql}\n{json.dumps(document, indent=2)}\n"


def sink_connectors(contracts: Contracts) -> list[Sink]:
    """A connector for each topic that lands in a raw table under contract."""
    found = []
    for topic in contracts.topics:
        table = topic.custom.get("landsIn")
        if (
            table is None
            or f"{RAW}.{table}" not in contracts
            or topic.custom.get("format") == "avro"
        ):
            continue
        found.append(_sink(topic, contracts[f"{RAW}.{table}"], contracts))
    return found


def _sink(topic: Contract, table: Contract, contracts: Contracts) -> Sink:
    from ingestion.stream.declared import dead_letters_of

    arrivals = f"{table.name}_arrivals".upper()
    config = {
        "connector.class": "com.snowflake.kafka.connector.SnowflakeSinkConnector",
        "tasks.max": str(topic.custom.get("partitions", 1)),
        "topics": topic.name,
        "snowflake.topic2table.map": f"{topic.name}:{arrivals}",
        "snowflake.ingestion.method": "SNOWPIPE_STREAMING",
        "snowflake.enable.schematization": "false",
        "snowflake.url.name": f"{_FILE}url}}",
        "snowflake.user.name": f"{_FILE}user}}",
        "snowflake.role.name": f"{_FILE}role}}",
        "snowflake.private.key": f"{_FILE}private_key}}",
        "snowflake.database.name": f"{_FILE}database}}",
        "snowflake.schema.name": RAW.upper(),
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        "buffer.flush.time": "1",
        "behavior.on.null.values": "DEFAULT",
        "consumer.override.isolation.level": "read_committed",
        "errors.tolerance": "all",
        "errors.log.enable": "true",
    }
    if topic.custom.get("deadLetter"):
        config |= {
            "errors.deadletterqueue.topic.name": dead_letters_of(topic.name, contracts),
            "errors.deadletterqueue.context.headers.enable": "true",
        }
    columns = ",\n".join(
        f"    {_value(column, topic)} as {column.name}" for column in table.columns
    )
    sql = (
        f"create table if not exists {RAW}.{arrivals.lower()}"
        " (record_metadata variant, record_content variant)\n"
        "    enable_schema_evolution = false;\n"
        f"create stream if not exists {RAW}.{arrivals.lower()}_new"
        f" on table {RAW}.{arrivals.lower()} append_only = true;\n"
        f"create task if not exists {RAW}.{arrivals.lower()}_task schedule = '1 minute'\n"
        f"    when system$stream_has_data('{RAW}.{arrivals.lower()}_new') as\n"
        f"insert into {RAW}.{table.name} ({', '.join(c.name for c in table.columns)})\n"
        f"select\n{columns}\nfrom {RAW}.{arrivals.lower()}_new;\n"
    )
    return Sink(f"waypoint-sink-{topic.name}", config, sql)


def _value(column: Column, topic: Contract) -> str:
    if column.name in _METADATA:
        return f"{_METADATA[column.name]}::{column.physical_type}"
    field = f"record_content:{column.name}"
    if column.logical_type in ("object", "array"):
        return f"to_json({field})"
    if column.logical_type == "timestamp":
        return f"try_to_timestamp_ntz({field}::varchar)"
    if column.physical_type == "varchar":
        return f"{field}::varchar"
    return f"try_cast({field}::varchar as {column.physical_type})"
