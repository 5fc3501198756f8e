"""Searching for many values at once: tens of thousands of people's in whole copies and files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import duckdb

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Found:
    """A value, and where it stands."""

    where: str
    value: str

    def __str__(self) -> str:
        return f"{self.where}: {self.value}"


class Sought(Protocol):
    """What can be searched for in files."""

    def in_file(self, path: Path) -> Iterator[Found]: ...

    def in_tables(self, path: Path, schemas: Sequence[str] = ()) -> Iterator[Found]: ...


class Values:
    """Texts that are searched for together, upper and lower case alike.

    A text is looked at word by word: a word that is the longest of a value brings up the values
    that have it, and only those are searched for.
    """

    def __init__(self, values: Iterable[str]) -> None:
        self._by_word: dict[str, list[str]] = {}
        self._known: set[str] = set()
        for value in values:
            folded = value.casefold()
            words = _WORD.findall(folded)
            if words and folded not in self._known:
                self._known.add(folded)
                self._by_word.setdefault(max(words, key=len), []).append(folded)

    def __len__(self) -> int:
        return len(self._known)

    def within(self, text: str) -> set[str]:
        """Those that stand in a text."""
        folded = text.casefold()
        words = set(_WORD.findall(folded)) & self._by_word.keys()
        return {value for word in words for value in self._by_word[word] if value in folded}

    def in_file(self, path: Path) -> Iterator[Found]:
        """Those that stand in the bytes of a file."""
        text = path.read_bytes().decode("utf-8", errors="ignore")
        yield from (Found(path.name, value) for value in sorted(self.within(text)))

    def in_tables(self, path: Path, schemas: Sequence[str] = ()) -> Iterator[Found]:
        """Those that stand in a column of texts of a DuckDB file."""
        with duckdb.connect(str(path), read_only=True) as connection:
            columns = connection.execute(
                "select schema_name, table_name, column_name from duckdb_columns()"
                " where not internal and database_name = current_database()"
                " and data_type = 'VARCHAR' order by 1, 2, 3"
            ).fetchall()
            for schema, table, column in columns:
                if schemas and schema not in schemas:
                    continue
                texts = connection.execute(
                    f'select distinct "{column}" from "{schema}"."{table}"'
                    f' where "{column}" is not null'
                )
                found: set[str] = set()
                while rows := texts.fetchmany(10_000):
                    found |= self.within("\n".join(text for (text,) in rows))
                yield from (Found(f"{schema}.{table}.{column}", v) for v in sorted(found))


def of_people(warehouse: Path) -> Values:
    """What names or reaches the people whose rows are in a warehouse of this project."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return Values(
            value
            for query in (
                "select email from raw.app_users",
                "select full_name from raw.app_users",
                "select phone from raw.app_users",
                "select account_id from raw.transactions",
            )
            for (value,) in connection.execute(query).fetchall()
            if value is not None and len(value) > 4
        )


#: What belongs to sources and servers, and what only those who run the project open.
_NOT_SHOWN = ("landing", "warehouse", "archive", "postgres", "simulator", "services", "spill")
_SOURCES = ("inbox",)


def shown(state: Path) -> Iterator[Path]:
    """What others than those who run the project look at: role copies, pages, logs, records."""
    for path in sorted(state.rglob("*")):
        top = path.relative_to(state).parts[0]
        if not path.is_file() or top in (*_NOT_SHOWN, *_SOURCES):
            continue
        if path.name != "waypoint.duckdb" and path.suffix not in (".lock", ".key"):
            yield path


def in_what_is_shown(state: Path, values: Sought) -> Iterator[Found]:
    """Values in what others look at, and in the tables that extracts are taken of."""
    for path in shown(state):
        if path.suffix == ".duckdb":
            yield from values.in_tables(path)
        yield from values.in_file(path)
    # of the whole copy: its marts and features
    yield from values.in_tables(state / "published/waypoint.duckdb", ["marts", "ml_features"])
