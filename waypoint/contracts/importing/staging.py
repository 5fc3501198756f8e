"""What follows from a table of a source: its raw contract, a staging model, and a simple mart.

The SQL is the house's: typed, renamed, one row per key in its newest state, with the rows that have
gone from the source marked. A person edits it; nothing writes it again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from waypoint.contracts.importing.draft import Draft, DraftColumn, DraftFreshness, DraftRule, todo
from waypoint.contracts.importing.table import TableStructure
from waypoint.contracts.model import RAW
from waypoint.errors import UnusableInput

STAGING = "staging"
MARTS = "marts"
DELETED, LOADED_AT = "is_deleted", "loaded_at"

#: What landing and loading add to a row of a database table.
_LOAD_METADATA = (
    DraftColumn(
        "_deleted",
        "boolean",
        required=True,
        description="Whether a full refresh found the row gone; it then carries its last known"
        " values.",
    ),
    DraftColumn(
        "_source",
        "varchar",
        required=True,
        description="Which source of ingestion/sources.yml the row came from.",
    ),
    DraftColumn(
        "_batch",
        "varchar",
        required=True,
        description="Which landed file the row came with; the file's name without its ending.",
    ),
    DraftColumn(
        "_loaded_at",
        "timestamp",
        required=True,
        description="When the load transaction put the row here (UTC); strictly later in each"
        " later load.",
    ),
)


@dataclass(frozen=True)
class Naming:
    """Whose the table is, and what its rows are called."""

    entity: str  # what one row is, in the singular: `order`
    source_table: str
    raw_table: str
    owner: str = ""
    domain: str = ""

    @property
    def many(self) -> str:
        return re.sub(r"\W+", "_", self.source_table.lower())

    @property
    def staging_table(self) -> str:
        return f"stg_{self.many}"


def entity_of(table: str) -> str:
    """What one row of `table` is called: `order` for orders, `category` for categories."""
    name = table.lower()
    for ending, single in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch")):
        if name.endswith(ending):
            return name[: -len(ending)] + single
    return name[:-1] if name.endswith("s") and not name.endswith(("ss", "us", "is")) else name


def raw_draft(structure: TableStructure, naming: Naming) -> Draft:
    """The contract of the raw table: the source's columns, and what loading adds."""
    columns = deepcopy(structure.columns)
    for column in columns:
        column.unique = False  # several versions of a row can stand in a raw table
        if column.name in structure.references and not column.description:
            _, table, other = structure.references[column.name]
            column.description = todo(f"what {column.name} says; it refers to {table}({other})")
    return Draft(
        schema=RAW,
        name=naming.raw_table,
        title=f"{_words(naming.many)} at the source",
        columns=[*columns, *(replace(column) for column in _LOAD_METADATA)],
        description=structure.description,
        owner=naming.owner,
        domain=naming.domain,
        grain=(
            f"One row per version of the {_spoken(naming.entity)} that an extraction saw;"
            f" several versions of one {' and '.join(structure.key)} can stand here."
            if structure.key
            else ""
        ),
        freshness=DraftFreshness("_loaded_at", "4 h", "2 h"),
        todos=[
            "how old may the newest row be? It warns after 2 h and fails after 4 h",
            *structure.todos,
        ],
    )


@dataclass
class StagingModel:
    """A staging model as it is drafted: its contract and its SQL."""

    draft: Draft
    sql: str
    renamed: Mapping[str, str] = field(default_factory=dict)


def staging_model(
    structure: TableStructure,
    naming: Naming,
    *,
    changed_at: str | None,
    known: Mapping[tuple[str, str], str],
) -> StagingModel:
    """The staging model of a raw table.

    `changed_at` is the column that tells a row's versions apart, if it has one. `known` says in
    which staging column (`table.column`) a column of another table of the source stands.
    """
    _refuse_a_table_without_key(structure)
    renamed = {
        column.name: _staging_name(column, structure, naming) for column in structure.columns
    }
    columns = []
    todos = []
    for column in structure.columns:
        mine = replace(column, name=renamed[column.name])
        if column.name in structure.references:
            schema, table, other = structure.references[column.name]
            mine.references = known.get((table, other))
            if mine.references is None and table == structure.name:
                mine.references = f"{naming.staging_table}.{renamed.get(other, other)}"
            if mine.references is None:
                todos.append(
                    f"{mine.name} refers to {schema}.{table}({other}) at the source: once that has"
                    " a staging model, add `relationships: [{to: <its table>.<its column>}]`"
                )
        columns.append(mine)
    groups = _groups(columns, renamed, structure)
    ordered = [mine for _, members in groups for mine, _ in members]
    draft = Draft(
        schema=STAGING,
        name=naming.staging_table,
        columns=[
            *(c for c in ordered if c.logical != "timestamp"),
            DraftColumn(
                DELETED,
                "boolean",
                required=True,
                description="Whether the row has gone from the source; its last known values are"
                " kept.",
            ),
            *(c for c in ordered if c.logical == "timestamp"),
            _loaded_at("When this version of the row was loaded into the warehouse (UTC)."),
        ],
        description=structure.description,
        owner=naming.owner,
        domain=naming.domain,
        grain=f"One row per {_spoken(naming.entity)}.",
        rules=[_with_new_names(rule, renamed) for rule in structure.rules],
        todos=todos,
    )
    return StagingModel(
        draft, _staging_sql(structure, naming, groups, renamed, changed_at), renamed
    )


def mart_model(staging: Draft, naming: Naming, name: str, by: str | None) -> StagingModel:
    """A simple mart on a staging model: its rows as they stand now, or how many `by` a column.

    Raises:
        UnusableInput: `by` is no column of the staging model.
    """
    if by is None:
        grain = staging.grain
        columns = [deepcopy(column) for column in staging.columns if column.name != DELETED]
        for column in columns:
            column.references = None  # checked where they come from
            column.valid_values = column.minimum = column.maximum = column.pattern = None
        selected = ",\n        ".join(column.name for column in columns)
        sql = _MART_SQL.format(many=naming.many, staging=staging.name, name=name, selected=selected)
        sql = sql.replace("\n    <group>", "")
    else:
        counted = staging.column(by)
        if counted is None or by in (DELETED, LOADED_AT):
            known = ", ".join(c.name for c in staging.columns)
            raise UnusableInput(f"--by {by}: {staging.name} has no such column", hint=f"of {known}")
        day = re.sub(r"_at$", "", by) + "_date" if counted.logical == "timestamp" else by
        grain = f"One row per {'UTC day' if day != by else _spoken(by)}."
        value = f"{{{{ utc_day('{by}') }}}}" if counted.logical == "timestamp" else by
        columns = [
            DraftColumn(
                day,
                "date" if counted.logical == "timestamp" else counted.physical_type,
                key_position=1,
                required=True,
                description=f"The UTC day of {by}." if day != by else counted.description,
            ),
            DraftColumn(
                naming.many,
                "bigint",
                required=True,
                minimum=1,
                description=f"How many {_spoken(naming.many)} there are, without those that went.",
            ),
            _loaded_at("When the newest of the rows behind it was loaded (UTC)."),
        ]
        named = value if value == day else f"{value} as {day}"
        selected = (
            f"{named},\n        cast(count(*) as bigint) as {naming.many},"
            "\n        max(loaded_at) as loaded_at"
        )
        sql = _MART_SQL.format(many=naming.many, staging=staging.name, name=name, selected=selected)
        sql = sql.replace("<group>", f"where {by} is not null\n    group by {value}")
    draft = Draft(MARTS, name, columns, owner=naming.owner, domain=naming.domain, grain=grain)
    return StagingModel(draft, sql)


_MART_SQL = """\
with {many} as (
    select * from {{{{ ref('{staging}') }}}}
    where not is_deleted
),

final as (
    select
        {selected}
    from {many}
    <group>
)

select * from final
"""


def _refuse_a_table_without_key(structure: TableStructure) -> None:
    if not structure.key:
        names = ", ".join(column.name for column in structure.columns)
        raise UnusableInput(
            f"{structure.schema}.{structure.name} has no primary key, so what tells its rows apart"
            " is not known",
            hint=f"pass --key with the columns that do, of {names}",
        )


def _loaded_at(description: str) -> DraftColumn:
    return DraftColumn(LOADED_AT, "timestamp", required=True, description=description)


# names


def _staging_name(column: DraftColumn, structure: TableStructure, naming: Naming) -> str:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column.name)
    name = re.sub(r"\W+", "_", name).strip("_").lower()
    if name in ("id", "name"):
        name = f"{naming.entity}_{name}"
    if column.logical == "timestamp" and not name.endswith("_at"):
        name = re.sub(r"_(on|time|ts|timestamp|date)$", "", name) + "_at"
    if column.logical == "date" and not name.endswith(("_date", "_day")):
        name = re.sub(r"_on$", "", name) + "_date"
    taken = {c.name for c in structure.columns if c is not column} | {DELETED, LOADED_AT}
    return f"{naming.entity}_{name}" if name in taken or name[:1].isdigit() else name


def _with_new_names(rule: DraftRule, renamed: Mapping[str, str]) -> DraftRule:
    """The rule in the staging model's column names; texts in quotes stay as they are."""
    words = re.compile(r"'(?:[^']|'')*'|\{object\}|\b\w+\b")
    query = words.sub(lambda match: renamed.get(match[0], match[0]), rule.query)
    return replace(rule, query=query)


def _words(name: str) -> str:
    text = _spoken(name)
    return text[:1].upper() + text[1:]


def _spoken(name: str) -> str:
    return name.replace("_", " ")


# SQL

_Groups = list[tuple[str, list[tuple[DraftColumn, str]]]]


def _groups(
    columns: Sequence[DraftColumn], renamed: Mapping[str, str], structure: TableStructure
) -> _Groups:
    """The columns under their headings, each with the raw column that it comes from."""
    headings: dict[str, list[tuple[DraftColumn, str]]] = {
        "ids": [],
        "strings": [],
        "numerics": [],
        "flags": [],
        "dates": [],
        "timestamps (UTC)": [],
    }
    for mine, raw in zip(columns, renamed, strict=True):
        if raw in structure.key or raw in structure.references or mine.name.endswith("_id"):
            heading = "ids"
        else:
            heading = {
                "integer": "numerics",
                "number": "numerics",
                "boolean": "flags",
                "date": "dates",
                "timestamp": "timestamps (UTC)",
            }.get(mine.logical, "strings")
        headings[heading].append((mine, raw))
    return [(heading, members) for heading, members in headings.items() if members]


def _staging_sql(
    structure: TableStructure,
    naming: Naming,
    groups: _Groups,
    renamed: Mapping[str, str],
    changed_at: str | None,
) -> str:
    raw_key = [_identifier(name) for name in structure.key]
    key = [renamed[name] for name in structure.key]
    unique_key = f"'{key[0]}'" if len(key) == 1 else f"[{', '.join(map(repr, key))}]"
    cursor = renamed.get(changed_at or "")
    if changed_at == cursor == "updated_at":
        newest = f"{{{{ newest_version('{', '.join(raw_key)}') }}}}"
    else:
        order = [f"{_identifier(changed_at)} desc"] if changed_at else []
        order += ["_loaded_at desc", "_batch desc"]
        newest = (
            f"qualify row_number() over (\n        partition by {', '.join(raw_key)}\n"
            f"        order by {', '.join(order)}\n    ) = 1"
        )
    lines = []
    blocks = [(h, m) for h, m in groups if not h.startswith("timestamps")]
    for heading, members in blocks:
        lines += [f"-- {heading}", *(f"{_selected(*member)}," for member in members), ""]
    lines += [f"_deleted as {DELETED},", "", "-- timestamps (UTC)"]
    for heading, members in groups:
        if heading.startswith("timestamps"):
            lines += [f"{_selected(*member)}," for member in members]
    lines.append(f"_loaded_at as {LOADED_AT}")
    selected = "\n".join(f"        {line}" if line else "" for line in lines)
    last = "select * from typed"
    if cursor:
        arguments = unique_key if len(key) > 1 else f"'{key[0]}'"
        own = "" if cursor == "updated_at" else f", changed_at='{cursor}'"
        last += f"\nwhere {{{{ is_not_outdated('typed', {arguments}{own}) }}}}"
    return (
        f"{{{{ config(materialized='incremental', unique_key={unique_key}) }}}}\n\n"
        "with source as (\n"
        f"    select * from {{{{ source('{RAW}', '{naming.raw_table}') }}}}\n"
        "    where {{ is_new() }}\n"
        f"    {newest}\n"
        "),\n\n"
        f"typed as (\n    select\n{selected}\n    from source\n)\n\n"
        f"{last}\n"
    )


def _selected(mine: DraftColumn, raw: str) -> str:
    """A column as the staging model selects it: free text trimmed, and empty where nothing is."""
    name = _identifier(raw)
    free = mine.physical_type == "varchar" and mine.logical == "string"
    closed = mine.valid_values is not None or mine.pattern or mine.references or mine.unique
    if free and not closed and mine.key_position is None and not mine.name.endswith("_id"):
        value = f"trim({name})" if mine.required else f"nullif(trim({name}), '')"
        return f"{value} as {mine.name}"
    return name if name == mine.name else f"{name} as {mine.name}"


def _identifier(name: str) -> str:
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        return name
    if "{" in name:  # dbt would take it for an expression of its own
        raise UnusableInput(f"the column {name!r} cannot be written in a model", hint="rename it")
    return '"' + name.replace('"', '""') + '"'
