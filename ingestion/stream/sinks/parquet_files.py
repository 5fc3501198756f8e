"""The Parquet file of one batch: its rows as the contract has them, and a footer that tells all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import footers
from ingestion.bookkeeping import BATCH, LOADED_AT, QUARANTINE, SOURCE
from ingestion.footers import Landed
from ingestion.messages import COMPLETE, RANGES, TOPIC
from ingestion.stream.sinks import Batch
from ingestion.stream.sinks.landed_batches import DUPLICATES, ERASED, LATE, TIMES
from waypoint.contracts.model import Contract

_ROW_GROUP = 122_880


def footer_of(batch: Batch, name: str, source: str, known: int) -> Landed:
    """What the batch called `name` says of itself; `known` messages had landed with a dump."""
    position: dict[str, Any] = {
        TOPIC: batch.topic.name,
        RANGES: {str(p): [span.first, span.last] for p, span in sorted(batch.spans.items())},
        COMPLETE: True,
        DUPLICATES: batch.duplicates,
        ERASED: batch.erased,
        LATE: batch.late,
    }
    if batch.times:
        position[TIMES] = [moment.isoformat() for moment in batch.times]
    left_out = batch.duplicates + batch.erased + known
    rows, rejected = batch.rows.num_rows, batch.rejects.num_rows
    return Landed(
        table=batch.topic.contract.name,
        batch=name,
        source=source,
        rows=rows,
        read=rows + rejected + left_out,
        rejected=rejected,
        unchanged=left_out,
        position=position,
        drift=batch.drift,
        landed_at=footers.now_text(),
    )


def write_rows(path: Path, batch: Batch, footer: Landed) -> None:
    """Write the rows of a batch, and have them on the disk."""
    contract = batch.topic.contract
    rows = _complete(batch.rows, contract, footer.source, footer.batch)
    _write(path, rows, footer, _few(contract), _looked_at(contract))
    _synced(path)


def write_rejects(path: Path, batch: Batch, name: str, source: str) -> None:
    """Write what the batch called `name` has for the quarantine."""
    rows = batch.rejects
    told = {"source": source, "batch": name}
    for place, column in enumerate(("source", "batch"), start=1):
        rows = rows.add_column(place, column, _constant(told[column], rows.num_rows))
    landed = Landed(
        QUARANTINE,
        f"{batch.topic.contract.name}/{name}",
        source,
        len(rows),
        len(rows),
        landed_at=footers.now_text(),
    )
    _write(path, rows, landed, few=("table_name", "source", "batch", "rule"))


def _complete(rows: pa.Table, contract: Contract, source: str, batch: str) -> pa.Table:
    """The rows with all columns of the contract that a landed file has, in its order."""
    added = {SOURCE: source, BATCH: batch}
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for column in contract.columns:
        if column.name == LOADED_AT:
            continue
        if column.name in added:
            columns[column.name] = _constant(added[column.name], rows.num_rows)
        else:
            columns[column.name] = rows.column(column.name)
    return pa.table(columns)


def _constant(text: str, count: int) -> pa.DictionaryArray:
    places = pa.array(bytes(4 * count), pa.int32()) if count == 0 else _zeros(count)
    return pa.DictionaryArray.from_arrays(places, pa.array([text]))


def _zeros(count: int) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), count, [None, pa.py_buffer(bytes(4 * count))])


def _write(
    path: Path,
    rows: pa.Table,
    footer: Landed,
    few: Iterable[str] = (),
    searched: Iterable[str] = (),
) -> None:
    """Write a file; `few` are columns of few values, `searched` those that are searched by."""
    names = set(rows.column_names)
    # a dictionary pays where there are few values, statistics where somebody looks for a range
    with pq.ParquetWriter(
        path,
        rows.schema,
        compression="zstd",
        compression_level=1,
        use_dictionary=[name for name in few if name in names],
        write_statistics=[name for name in searched if name in names],
        store_schema=False,
    ) as writer:
        writer.write_table(rows, row_group_size=_ROW_GROUP)
        told = json.dumps(asdict(footer), separators=(",", ":"))
        writer.add_key_value_metadata({footers.KEY: told})


def _few(contract: Contract) -> list[str]:
    return [c.name for c in contract.columns if c.name in (SOURCE, BATCH) or c.valid_values]


def _looked_at(contract: Contract) -> list[str]:
    times = [c.name for c in contract.columns if c.physical_type == "timestamp"]
    return ["_partition", "_offset", *times]


def _synced(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
