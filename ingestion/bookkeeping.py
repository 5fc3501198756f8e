"""The tables of `raw` that Waypoint itself fills: rejected rows, loaded files, the clock.

Every project has them; its contracts say for people what these columns mean, and may not say
otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping

#: Rows that broke their contract at landing, with what was wrong and where it came from.
QUARANTINE = "quarantine"
#: Which landed files are in the warehouse; what stands here is never loaded again.
LOAD_HISTORY = "load_history"
#: One row with the time that is taken for now where a period is played, or none.
CLOCK = "clock"

#: Metadata that landing adds to each row, and what only the load knows.
SOURCE, BATCH, LOADED_AT = "_source", "_batch", "_loaded_at"

#: Columns and their types by table. The quarantine lands as Parquet; `_loaded_at` comes with the
#: load, as in every landed table.
TABLES: Mapping[str, Mapping[str, str]] = {
    QUARANTINE: {
        "table_name": "varchar",
        "source": "varchar",
        "batch": "varchar",
        "file": "varchar",
        "line": "bigint",
        "partition": "integer",
        "message_offset": "bigint",
        "message_timestamp": "timestamp",
        "message_key": "varchar",
        "field": "varchar",
        "value": "varchar",
        "rule": "varchar",
        "reason": "varchar",
        "payload": "varchar",
        LOADED_AT: "timestamp",
    },
    LOAD_HISTORY: {
        "file": "varchar",
        "table_name": "varchar",
        "batch": "varchar",
        "row_count": "bigint",
        "loaded_at": "timestamp",
    },
    CLOCK: {"as_of": "timestamp"},
}
