"""Extracting lists of JSON records from an HTTP API, incrementally where the API can filter.

    payments:
      kind: rest
      base_url: https://api.example.com
      token: ${PAYMENTS_API_KEY}           # sent as `Authorization: Bearer ...`
      headers: {X-Region: eu}              # others, where needed
      patience: {attempts: 6, first_wait: 0.5, longest_wait: 60, timeout: 30}     # default; seconds
      resources:
        - path: /v1/charges
          table: charges                   # of the warehouse's raw schema
          parameters: {expand: customer}   # always sent
          pagination: {style: cursor, parameter: starting_after, items: data, more: has_more,
                       id: id, size: 100, size_parameter: limit}
          incremental: {field: created, parameter: "created[gte]", lookback: 30 days,
                        unit: epoch_seconds}                                      # or iso8601

An incremental read asks for what was created from `lookback` before the newest landed record on:
records change for that long. What comes again unchanged, by the contract's columns, lands no
second time. A full refresh asks for everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ingestion.comparison import (
    PAYLOAD,
    ROW,
    land_changes,
    landed_files,
    next_batch,
    recent_files,
)
from ingestion.engine import open_engine, quoted
from ingestion.extraction import Context, Outcome, Source
from ingestion.footers import Landed, read_footer
from ingestion.http_lists import HttpLists, Pagination, Patience
from ingestion.validation import document_type
from waypoint.contracts.model import RAW, Contract
from waypoint.contracts.reading import duration
from waypoint.errors import UnusableInput

#: Records are handed to the engine, which spills to disk, in lots of this size.
_LOT = 5_000

_SETTINGS = frozenset({"base_url", "token", "headers", "patience", "resources"})
_RESOURCE_SETTINGS = frozenset({"path", "table", "parameters", "pagination", "incremental", "key"})
_STYLES = ("cursor", "page", "none")


@dataclass(frozen=True)
class _Incremental:
    """How the API filters by the time at which a record was created."""

    field: str
    parameter: str
    lookback: timedelta
    unit: str = "epoch_seconds"

    def kept(self, moment: datetime) -> int | str:
        """A moment (UTC) as records and the API write it."""
        if self.unit == "epoch_seconds":
            return int(moment.replace(tzinfo=UTC).timestamp())
        return moment.isoformat(timespec="microseconds") + "Z"

    def moment(self, value: object) -> datetime | None:
        """A record's value as a moment (UTC); None where it is none."""
        try:
            if self.unit == "epoch_seconds":
                if isinstance(value, bool) or not isinstance(value, int | float):
                    return None
                return datetime.fromtimestamp(value, UTC).replace(tzinfo=None)
            parsed = datetime.fromisoformat(str(value))
        except (ValueError, OverflowError, OSError):
            return None
        return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


@dataclass(frozen=True)
class _Resource:
    """One list to extract, as sources.yml says it."""

    path: str
    contract: Contract
    parameters: Mapping[str, Any]
    pagination: Pagination
    incremental: _Incremental | None
    key: tuple[str, ...]


@dataclass(frozen=True)
class _Position:
    """How far a list was read: `beyond` tells that records from the future were seen."""

    value: datetime
    beyond: bool


def extract(source: Source, context: Context) -> Iterator[Outcome]:
    """Land what is new in each of the source's lists; an outcome per list.

    Raises:
        UnusableInput: the settings are wrong, or the server refuses the key or the request.
        Unavailable: the server does not answer, or only with errors; nothing of the list landed.
        UnusableAnswer: the answer is no list of the declared shape.
    """
    settings = source.settings
    _known(source, "", settings, _SETTINGS)
    resources = _resources(source, context)
    if not resources:
        return
    if not settings.get("base_url"):
        raise UnusableInput(f"{source.name}: has no base_url")
    client = HttpLists(
        source.name,
        str(settings["base_url"]),
        settings.get("token"),
        {str(name): str(value) for name, value in (settings.get("headers") or {}).items()},
        Patience(**_given(source, "patience", settings.get("patience") or {}, Patience)),
    )
    with client:
        for resource in resources:
            outcome = _extract_list(source, context, client, resource)
            context.report(resource.contract.name, outcome.landed)
            yield outcome


# settings


def _resources(source: Source, context: Context) -> list[_Resource]:
    entries = source.settings.get("resources")
    if not isinstance(entries, list) or not entries:
        raise UnusableInput(
            f"{source.name}: declares no resources", hint="resources: [{path: ..., table: ...}]"
        )
    found = [_resource(source, context, entry) for entry in entries]
    names = [resource.contract.name for resource in found]
    for name in names:
        if names.count(name) > 1:
            raise UnusableInput(f"{source.name}: two resources land in {name}")
    return [r for r in found if context.tables is None or r.contract.name in context.tables]


def _resource(source: Source, context: Context, entry: Any) -> _Resource:
    if not isinstance(entry, Mapping) or not entry.get("path") or not entry.get("table"):
        raise UnusableInput(f"{source.name}: a resource needs a path and a table")
    path = str(entry["path"])
    _known(source, f"resource {path}: ", entry, _RESOURCE_SETTINGS)
    table = f"{RAW}.{entry['table']}"
    if table not in context.contracts:
        raise UnusableInput(
            f"{source.name}: resource {path} lands in {table}, which has no contract",
            hint=f"write contracts/{RAW}/{entry['table']}.yaml",
        )
    contract = context.contracts[table]
    pagination = Pagination(
        **_given(source, f"resource {path}: pagination", entry.get("pagination") or {}, Pagination)
    )
    if pagination.style not in _STYLES:
        raise UnusableInput(
            f"{source.name}: resource {path}: unknown pagination style {pagination.style!r}",
            hint=f"the styles are {', '.join(_STYLES)}",
        )
    key = entry.get("key") or contract.key or (pagination.id,)
    return _Resource(
        path=path,
        contract=contract,
        parameters=dict(entry.get("parameters") or {}),
        pagination=pagination,
        incremental=_incremental(source, path, entry.get("incremental")),
        key=(key,) if isinstance(key, str) else tuple(key),
    )


def _incremental(source: Source, path: str, entry: Any) -> _Incremental | None:
    if entry is None:
        return None
    where = f"resource {path}: incremental"
    given = _given(source, where, entry, _Incremental)
    try:
        lookback = duration(given.get("lookback", "0 s"))
        found = _Incremental(**{**given, "lookback": lookback})
    except (TypeError, ValueError) as error:
        raise UnusableInput(
            f"{source.name}: {where}: {error}",
            hint="expected e.g. {field: created, parameter: 'created[gte]', lookback: 30 days}",
        ) from None
    if found.unit not in ("epoch_seconds", "iso8601"):
        raise UnusableInput(f"{source.name}: {where}: unknown unit {found.unit!r}")
    return found


def _given(source: Source, where: str, entry: Any, kind: type) -> dict[str, Any]:
    """The settings of `entry`, which are fields of the dataclass `kind`."""
    if not isinstance(entry, Mapping):
        raise UnusableInput(f"{source.name}: {where}: expected {{name: value, ...}}")
    _known(source, f"{where}: ", entry, frozenset(field.name for field in fields(kind)))
    return dict(entry)


def _known(source: Source, where: str, entry: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in entry:
        if name not in known:
            raise UnusableInput(
                f"{source.name}: {where}unknown setting {name!r}",
                hint=f"the settings are {', '.join(sorted(known))}",
            )


# one list


def _extract_list(
    source: Source, context: Context, client: HttpLists, resource: _Resource
) -> Outcome:
    contract, incremental = resource.contract, resource.incremental
    files = landed_files(context.area, contract.name, source.name)
    position = _position(incremental, files)
    parameters = dict(resource.parameters)
    start = None
    if incremental and position and not context.full_refresh:
        start = position.value - incremental.lookback
        parameters[incremental.parameter] = incremental.kept(start)
    with open_engine(context.state) as engine:
        position = _fetch(engine, client, resource, parameters, position, context.now)
        twice = _take_apart(engine, resource)
        (rows,) = engine.execute("select count(*) from records").fetchall()[0]
        if not rows and (start is not None or not files):
            return Outcome(source.name, contract.name, None)
        changes = land_changes(
            engine,
            "select * from records",
            contract=contract,
            source=source.name,
            batch=next_batch(files, source.name),
            area=context.area,
            files=_recent(files, incremental, start),
            key=resource.key,
            complete=start is None,
            since=_landed_condition(contract, incremental, start),
            position=_as_json(incremental, position),
            unchanged=twice,
            document=PAYLOAD,
        )
    landed = changes.landed
    return Outcome(
        source=source.name,
        table=contract.name,
        batch=landed.batch if landed else None,
        read=changes.read,
        landed=landed.rows if landed else 0,
        rejected=landed.rejected if landed else 0,
        unchanged=changes.unchanged,
        drift=changes.notes,
    )


def _fetch(
    engine: duckdb.DuckDBPyConnection,
    client: HttpLists,
    resource: _Resource,
    parameters: Mapping[str, Any],
    position: _Position | None,
    now: datetime,
) -> _Position | None:
    """Read all pages into the table `fetched`; the position once they have landed."""
    engine.execute(
        f"create or replace temp table fetched ({quoted(ROW)} bigint, {quoted(PAYLOAD)} varchar)"
    )
    incremental = resource.incremental
    latest = max(now, datetime.now(UTC).replace(tzinfo=None))
    lot: list[str] = []
    rows = 0
    for page in client.pages(resource.path, parameters, resource.pagination):
        lot.extend(page.texts)
        if len(lot) >= _LOT:
            rows = _store(engine, lot, rows)
        for item in page.items:
            if incremental is None or not isinstance(item, dict):
                continue
            moment = incremental.moment(item.get(incremental.field))
            if moment is None:
                continue
            value = position.value if position else datetime.min
            beyond = moment > latest
            position = _Position(
                value if beyond else max(value, moment),
                beyond or (position is not None and position.beyond),
            )
    _store(engine, lot, rows)
    return position


def _store(engine: duckdb.DuckDBPyConnection, lot: list[str], rows: int) -> int:
    """Add the records of `lot` to the table, after the `rows` in it, and empty the lot."""
    after = rows + len(lot)
    table = pa.table({ROW: pa.array(range(rows, after), pa.int64()), PAYLOAD: pa.array(lot)})
    engine.register("lot", table)
    engine.execute("insert into fetched select * from lot")
    engine.unregister("lot")
    lot.clear()
    return after


def _take_apart(engine: duckdb.DuckDBPyConnection, resource: _Resource) -> int:
    """Make the table `records` of what was fetched; how many copies of a record were left out.

    Lists move while they are read: of each record, the copy that came last stays.
    """
    is_object = f"json_valid({quoted(PAYLOAD)}) and json_type({quoted(PAYLOAD)}) = 'OBJECT'"
    engine.execute(
        f"create or replace temp table records as select {quoted(ROW)}, {quoted(PAYLOAD)},"
        f" unnest(json_transform(case when {is_object} then {quoted(PAYLOAD)} end,"
        f" {document_type(resource.contract)})) from fetched"
    )
    engine.execute("drop table fetched")
    keys = ", ".join(quoted(name) for name in resource.key)
    complete = " and ".join(f"{quoted(name)} is not null" for name in resource.key)
    (copies,) = engine.execute(
        f"delete from records where {quoted(ROW)} in (select {quoted(ROW)} from records"
        f" where {complete}"
        f" qualify row_number() over (partition by {keys} order by {quoted(ROW)} desc) > 1)"
    ).fetchall()[0]
    return int(copies)


# the position


def _position(incremental: _Incremental | None, files: list[Path]) -> _Position | None:
    return _kept_position(incremental, read_footer(files[-1])) if files else None


def _kept_position(incremental: _Incremental | None, landed: Landed) -> _Position | None:
    """The position in a footer; None where it is of another field."""
    kept = landed.position
    if incremental is None or kept.get("field") != incremental.field:
        return None
    return _Position(datetime.fromisoformat(kept["value"]), bool(kept.get("beyond")))


def _as_json(incremental: _Incremental | None, position: _Position | None) -> dict[str, Any]:
    if incremental is None or position is None or position.value == datetime.min:
        return {}
    value = position.value.isoformat()
    return {"field": incremental.field, "value": value, "beyond": position.beyond}


def _recent(
    files: list[Path], incremental: _Incremental | None, start: datetime | None
) -> list[Path]:
    """Those of the landed files that can hold a record created at `start` or later."""
    if start is None:
        return files

    def is_before(landed: Landed) -> bool:
        position = _kept_position(incremental, landed)
        return position is not None and not position.beyond and position.value < start

    return recent_files(files, is_before)


def _landed_condition(
    contract: Contract, incremental: _Incremental | None, start: datetime | None
) -> str | None:
    """SQL over landed columns that holds for all records created at `start` or later."""
    if incremental is None or start is None:
        return None
    column = next((c for c in contract.source_columns if c.name == incremental.field), None)
    if column is None or incremental.unit != "epoch_seconds" or column.logical_type != "integer":
        return None
    return f"{quoted(column.name)} >= {incremental.kept(start)}"
