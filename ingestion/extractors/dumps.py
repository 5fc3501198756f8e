"""Exports of Kafka topics as files: settings `folder`, and if need be `settle`.

The folder holds one folder for each topic, with NDJSON (`.ndjson`, `.jsonl`, also `.gz`) or
Parquet files. A line is `{"topic", "partition", "offset", "timestamp" (epoch ms), "key", "value"}`:
value is the message as a JSON object, or its text, or null for a tombstone. Parquet files have
columns of these names. The topic's contract says which table it lands in.

Exports may overlap and come twice; each offset of a topic lands once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from ingestion import footers
from ingestion.engine import open_engine, quoted, text_literal
from ingestion.extraction import Context, Outcome, Source
from ingestion.footers import Landed
from ingestion.inbox import (
    Dropped,
    Parts,
    checked_unchanged,
    content_hash,
    dropped_files,
    known_stats,
    last_told,
    open_inbox,
    settle_time,
    settled,
)
from ingestion.lines import CUT_SHORT, PART, read_lines
from ingestion.messages import Topic, land_messages, topic_of
from ingestion.taking_apart import starts_an_object
from waypoint.errors import UnusableInput

PATTERNS = ("*.ndjson", "*.jsonl", "*.ndjson.gz", "*.jsonl.gz", "*.parquet")
_NOT_JSON = "the line is not a JSON object"
_ENVELOPE = ("topic", "partition", "offset", "timestamp", "key", "value")


def extract(source: Source, context: Context) -> Iterator[Outcome]:
    """Land the messages that are new in the files below the source's folder.

    Raises:
        UnusableInput: a setting is wrong; or, when the other topics have landed, a folder's name
            is no topic under contract.
        Unavailable: a file cannot be read.
        LandingAreaFull: no room; the parts that had landed stay.
    """
    by_topic: dict[str, list[Dropped]] = {}
    for file in dropped_files(open_inbox(source.settings), PATTERNS):
        folder, _, rest = file.name.partition("/")
        by_topic.setdefault(folder if rest else "", []).append(file)
    settle = settle_time(source.settings)
    unusable: list[UnusableInput] = []
    for name, files in by_topic.items():
        try:
            topic = _topic(name, files[0], context)
        except UnusableInput as error:
            unusable.append(error)  # the other topics come first
            continue
        if context.tables is not None and topic.contract.name not in context.tables:
            continue
        if not context.full_refresh:
            known = known_stats(footers.history(context.area, topic.contract.name))
            files = [file for file in files if tuple(file.stat) not in known]
        yield from land_dumps(settled(files, settle), topic, source.name, context)
    if unusable:
        raise UnusableInput("\n".join(map(str, unusable)), hint=unusable[0].hint)


def _topic(folder: str, file: Dropped, context: Context) -> Topic:
    if not folder:
        raise UnusableInput(
            f"{file.path}: stands in no topic's folder",
            hint=f"move it to {file.path.parent}/<topic>/",
        )
    return topic_of(folder, context.contracts)


def land_dumps(
    files: Iterable[Dropped], topic: Topic, source: str, context: Context
) -> Iterator[Outcome]:
    """Land exports of one topic; one outcome for each part of each file."""
    landed: list[Landed] | None = None
    with open_engine(context.state / "spill") as connection:
        for file in files:
            if landed is None:
                landed = footers.history(context.area, topic.contract.name)
            context.report(file.name, 0)
            yield from _land_file(connection, file, topic, source, context, landed)


def _land_file(
    connection: duckdb.DuckDBPyConnection,
    file: Dropped,
    topic: Topic,
    source: str,
    context: Context,
    landed: list[Landed],
) -> Iterator[Outcome]:
    table = topic.contract.name
    parts = Parts(topic.name, content_hash(file.path), file)
    before = parts.landed(context.area, table)
    for part in before:
        yield Outcome(source, table, None, read=part.read, unchanged=part.read)
    if parts.complete(before):
        return
    for number, rows, last in last_told(_parts(file.path)):
        if number <= len(before):
            continue
        checked_unchanged(file)
        connection.register("part", rows)
        connection.execute(f"create or replace temp view messages as {_messages(rows.schema)}")
        part = land_messages(
            connection,
            "messages",
            topic,
            source=source,
            batch=parts.batch(number),
            area=context.area,
            file=file.name,
            position=parts.position(number, last),
            landed=landed,
        )
        connection.unregister("part")
        landed.append(part)
        context.report(file.name, part.read)
        yield Outcome(
            source=source,
            table=table,
            batch=part.batch,
            read=part.read,
            landed=part.rows,
            rejected=part.rejected,
            unchanged=part.unchanged,
            drift=tuple(f"{topic.name}: {words}" for words in part.drift),
        )


def _parts(path: Path) -> Iterator[pa.Table]:
    """The file's messages in tables of bounded size, at least one."""
    empty = True
    for part in _parquet_parts(path) if path.suffix == ".parquet" else read_lines(path):
        empty = False
        yield part
    if empty:
        yield _marked(0, "", None)


def _parquet_parts(path: Path) -> Iterator[pa.Table]:
    number = 1
    try:
        file = pq.ParquetFile(path)
        missing = {"partition", "offset", "value"} - set(file.schema_arrow.names)
        if missing:
            yield _marked(1, "", f"the whole file: has no column {', '.join(sorted(missing))}")
            return
        columns = [name for name in _ENVELOPE if name in file.schema_arrow.names]
        held: list[pa.RecordBatch] = []
        for batch in file.iter_batches(batch_size=50_000, columns=columns):
            held.append(batch)
            if sum(piece.nbytes for piece in held) >= PART:
                yield _numbered(held, number)
                number += sum(piece.num_rows for piece in held)
                held = []
        if held:
            yield _numbered(held, number)
            number += sum(piece.num_rows for piece in held)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        reason = " ".join(str(error).split())
        yield _marked(number, "", f"the file is no readable Parquet from here on: {reason}")


def _numbered(batches: list[pa.RecordBatch], number: int) -> pa.Table:
    rows = pa.Table.from_batches(batches)
    for name in ("key", "value"):
        index = rows.schema.get_field_index(name)
        if index >= 0 and not pa.types.is_string(rows.schema.field(index).type):
            rows = rows.set_column(index, name, _text(rows.column(index)))
    numbers = pa.array(range(number, number + rows.num_rows), pa.int64())
    return rows.append_column("number", numbers)


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bytes as text; what is not UTF-8 is escaped, so that it is no JSON and stays visible."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.chunked_array(
            [
                [
                    None if value is None else bytes(value).decode(errors="backslashreplace")
                    for value in column.to_pylist()
                ]
            ],
            pa.string(),
        )


def _marked(number: int, line: str, mark: str | None) -> pa.Table:
    """A table of one marked line, or of none where there is no mark."""
    rows = [{"number": number, "line": line, "mark": mark}] if mark else []
    schema = pa.schema([("number", pa.int64()), ("line", pa.string()), ("mark", pa.string())])
    return pa.Table.from_pylist(rows, schema)


def _messages(schema: pa.Schema) -> str:
    """A select that makes messages (see `ingestion.messages`) of the registered table `part`."""
    if "line" in schema.names:
        return messages_of_lines()
    items = ["number", "cast(null as varchar) as mark", "cast(null as varchar) as line"]
    for name in _ENVELOPE:
        given: Any = quoted(name) if name in schema.names else "null"
        items.append(f"cast({given} as varchar) as {quoted(name)}")
    return f"select {', '.join(items)}, 'value' as present from part"


def messages_of_lines() -> str:
    """A select that makes messages (see `ingestion.messages`) of lines registered as `part`."""
    kinds = ", ".join(f'"{name}": "VARCHAR"' for name in _ENVELOPE)
    kinds = text_literal(f"{{{kinds}}}")
    return f"""
        with checked as (
            select
                number,
                line,
                case
                    when (mark is null or mark = {text_literal(CUT_SHORT)})
                        and {starts_an_object("line")} and json_valid(line)
                        then null
                    else coalesce(mark, {text_literal(_NOT_JSON)})
                end as mark
            from part
            -- a blank line is no message; only short ones are looked at, for it is slow
            where case when strlen(line) > 8 or mark is not null then true
                else trim(line, e' \\t\\r') <> '' end
        ),

        taken as (
            select *, json_transform(case when mark is null then line end, {kinds}) as envelope
            from checked
        )

        select
            number,
            mark,
            line,
            envelope.topic,
            envelope."partition",
            envelope."offset",
            envelope."timestamp",
            envelope.key,
            envelope.value,
            coalesce(
                envelope.value,
                json_type(
                    case when mark is null and envelope.value is null then line end, '$.value'
                )
            ) as present
        from taken
    """
