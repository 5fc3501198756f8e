"""What a contract says, as values: the part of the Open Data Contract Standard that Waypoint reads.

Names follow the standard (https://bitol-io.github.io/open-data-contract-standard/v3.1.0/) except
where dbt's word is the one that everyone uses (column, not property).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

#: Folders of `contracts/` that mean something; every folder but the topics' is a warehouse schema.
TOPICS = "topics"
RAW = "raw"
ML_FEATURES = "ml_features"

#: The custom property of a table that dbt reads as a table of the source of that name; tables of
#: `raw` need none.
DBT_SOURCE = "dbtSource"
#: The custom property of a table whose rows are only for people who agreed: the column that says
#: who it is about, and the `schema.table.column` that says who agreed, by a column of that name.
CONSENT = "rowsNeedConsent"
#: The same of a column, whose values alone are only for people who agreed; or, in words, why what
#: is made of such a column needs no consent.
NEEDS_CONSENT = "needsConsent"

#: What a contract's status can be, in the order of its life.
STATUSES = ("proposed", "draft", "active", "deprecated", "retired")


@dataclass(frozen=True)
class Rule:
    """A quality rule over a table: `query` counts what breaks it, with `{object}` for the table.

    A query of the form `select count(*) from {object} where <condition>` is a row rule; its
    condition is kept in `condition`, and all row rules of a table are checked in one scan.
    """

    name: str
    description: str
    query: str
    severity: str = "error"  # or "warning"
    condition: str | None = None


@dataclass(frozen=True)
class Column:
    """One column: its type on both warehouses, and what must hold of its values."""

    name: str
    logical_type: str
    physical_type: str
    description: str = ""
    required: bool = False
    unique: bool = False
    primary_key_position: int | None = None
    classification: str | None = None
    minimum: float | int | str | None = None
    maximum: float | int | str | None = None
    pattern: str | None = None
    valid_values: tuple[str, ...] | None = None
    references: str | None = None  # "table.column" in the same warehouse
    rules: tuple[Rule, ...] = ()
    columns: tuple[Column, ...] = ()  # of a nested object or array (topics)
    custom: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_metadata(self) -> bool:
        """Added by landing or loading, not said by the source: `_source`, `_loaded_at` ..."""
        return self.name.startswith("_")


@dataclass(frozen=True)
class Freshness:
    """How old the newest row may be, by the column `element`, before people are told."""

    element: str
    warn_after: timedelta
    error_after: timedelta


@dataclass(frozen=True)
class Role:
    """Who may do what with the table (`access`: read or write), and who grants it."""

    name: str
    access: str
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contract:
    """One table or topic under contract. `schema` is the folder it stands in.

    `name` is the table's (or topic's) own name. Where several versions stand side by side, each is
    a table of its own (`orders_v1`, `orders_v2`) and `family` is the name that they share.
    """

    path: Path
    schema: str
    name: str
    version: str
    status: str
    owner: str
    domain: str
    description: str
    grain: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    freshness: Freshness | None = None
    retention: timedelta | None = None
    retention_element: str | None = None  # the column by which a row is as old as it is
    tags: tuple[str, ...] = ()
    custom: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[Role, ...] = ()
    versioned_as: str | None = None  # the family's name, where the file says `-v<major>`
    end_of_life: date | None = None  # until when a deprecated table is still built (that day not)

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def family(self) -> str:
        """The name that all versions share; the table's own where there are none."""
        return self.versioned_as or self.name

    @property
    def family_name(self) -> str:
        """`<schema>.<family>`: what the contract's id is, whatever its version."""
        return f"{self.schema}.{self.family}"

    @property
    def dbt_source(self) -> str | None:
        """The name of the dbt source that the table belongs to; None where dbt builds it."""
        return self.custom.get(DBT_SOURCE) or (RAW if self.schema == RAW else None)

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key's columns in their order; empty where the table has none."""
        keyed = [c for c in self.columns if c.primary_key_position is not None]
        return tuple(c.name for c in sorted(keyed, key=lambda c: c.primary_key_position or 0))

    @property
    def source_columns(self) -> tuple[Column, ...]:
        """The columns that the source itself says, without load metadata."""
        return tuple(c for c in self.columns if not c.is_metadata)

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError where there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.full_name} has no column {name!r}")


class Contracts(Mapping[str, Contract]):
    """All contracts of a project by full name (`marts.revenue_by_day`), in a stable order."""

    def __init__(self, contracts: list[Contract]) -> None:
        self._by_name = {c.full_name: c for c in sorted(contracts, key=lambda c: c.full_name)}

    def __getitem__(self, full_name: str) -> Contract:
        return self._by_name[full_name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def in_schema(self, schema: str) -> list[Contract]:
        return [c for c in self.values() if c.schema == schema]

    def versions(self, family_name: str) -> list[Contract]:
        """The versions of a table or topic that stand side by side, oldest first."""
        found = (c for c in self.values() if c.family_name == family_name)
        return sorted(found, key=lambda c: c.major)

    @property
    def tables(self) -> list[Contract]:
        return [c for c in self.values() if c.schema != TOPICS]

    @property
    def topics(self) -> list[Contract]:
        return self.in_schema(TOPICS)
