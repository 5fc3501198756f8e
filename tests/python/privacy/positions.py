"""Searching for positions: two numbers beside each other, in a text or in two columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import duckdb
from privacy.values import Found

#: Two numbers with fractions and little between them: `"lat": 52.52, "lng": 13.405`.
_PAIR = re.compile(r"(?<![\d.])(?=(-?\d{1,3}\.\d+)[^\d.-]{1,24}(-?\d{1,3}\.\d+)(?![\d.]))")
_LATITUDE, _LONGITUDE = ("lat", "latitude"), ("lng", "lon", "long", "longitude")


class Positions:
    """Positions that are searched for together; one decimal place is the same as three zeros."""

    def __init__(self, positions: Iterable[tuple[str, str]]) -> None:
        self._known = {(float(lat), float(lng)) for lat, lng in positions}

    def __len__(self) -> int:
        return len(self._known)

    def within(self, text: str) -> set[str]:
        """Those that stand in a text, in either order."""
        return {
            f"{first}, {second}"
            for first, second in _PAIR.findall(text)
            if {(float(first), float(second)), (float(second), float(first))} & self._known
        }

    def in_file(self, path: Path) -> Iterator[Found]:
        """Those that stand in the bytes of a file."""
        text = path.read_bytes().decode("utf-8", errors="ignore")
        yield from (Found(path.name, pair) for pair in sorted(self.within(text)))

    def in_tables(self, path: Path, schemas: Sequence[str] = ()) -> Iterator[Found]:
        """Those that stand in a text of a DuckDB file, or in two columns of a table."""
        with duckdb.connect(str(path), read_only=True) as connection:
            columns = connection.execute(
                "select schema_name || '.' || table_name, list(column_name),"
                " list(column_name) filter (where data_type = 'VARCHAR')"
                " from duckdb_columns() where not internal"
                " and database_name = current_database() and (? = [] or schema_name in ?)"
                " group by 1 order by 1",
                [list(schemas), list(schemas)],
            ).fetchall()
            for table, names, texts in columns:
                for column in texts or ():
                    rows = connection.execute(
                        f'select distinct "{column}" from {table}'
                        f" where regexp_matches(\"{column}\", '\\d\\.\\d')"
                    ).fetchall()
                    found = self.within("\n".join(text for (text,) in rows))
                    yield from (Found(f"{table}.{column}", pair) for pair in sorted(found))
                for lat in (name for name in names if _ends(name, _LATITUDE)):
                    for lng in (name for name in names if _ends(name, _LONGITUDE)):
                        pairs = connection.execute(
                            f'select distinct try_cast("{lat}" as double),'
                            f' try_cast("{lng}" as double) from {table}'
                        ).fetchall()
                        for pair in sorted(set(pairs) & self._known):
                            yield Found(f"{table}.{lat}", f"{pair[0]}, {pair[1]}")


def _ends(name: str, words: Iterable[str]) -> bool:
    return name.lower().split("_")[-1] in words


def of_people(warehouse: Path) -> Positions:
    """Every position that somebody sent, as landed in a warehouse of this project.

    Coarser ones than a cell of 150 m are left: they are of a town, as `52.52, 13.405` is of Berlin.
    """
    sent = {
        "location_events": ("location", "$"),
        "recommendation_logs": ("context", "$"),
        "user_interactions": ("data", "$.location"),
    }
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return Positions(
            (lat, lng)
            for table, (column, path) in sent.items()
            for lat, lng in connection.execute(
                f"select distinct json_extract_string({column}, '{path}.lat'),"
                f" json_extract_string({column}, '{path}.lng') from raw.{table}"
            ).fetchall()
            if lat and lng and any(len(said.partition(".")[2]) > 3 for said in (lat, lng))
        )
