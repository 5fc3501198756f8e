"""The tables that a scenario's SQL files describe, made when something needs them.

A file `scenario/**/orders.sql` holds one select and is a table called `orders`. It may read the
other files' tables by name, CSV files of the scenario or of the project's seeds the same way, and
the macros of `macros.sql` and of `scenario/macros.sql`. Each setting is a macro too:
`setting.late_share()`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from waypoint.errors import UnusableInput, WaypointError
from waypoint.project import Project
from waypoint.simulator.scenario import Scenario, Setting
from waypoint.simulator.state import World

MACROS = "macros.sql"

# What selects read, by their text: the same for every play.
_tables_read: dict[str, set[str]] = {}


class ScenarioFailed(WaypointError):
    """A query of the scenario does not work; the message names its file."""


class Tables:
    """One stretch of a world: a DuckDB connection in which the scenario's tables can be asked for.

    `reach` is from when on messages are asked for; `spill` is a folder for what does not fit into
    memory. Not to be shared between threads.
    """

    def __init__(
        self,
        project: Project,
        scenario: Scenario,
        world: World,
        since: datetime,
        until: datetime,
        reach: datetime,
        spill: Path,
    ) -> None:
        self._queries = _queries(scenario)
        self._references = _references(project, scenario)
        self._made: set[str] = set()
        self.connection = duckdb.connect(
            config={"autoinstall_known_extensions": False, "temp_directory": str(spill)}
        )
        self._set(
            {
                "seed": world.seed,
                "scale": world.scale,
                "start": world.start,
                "full_from": world.full_from,
                "opened": world.opened,
                "since": since,
                "until": until,
                "reach": max(reach, world.start),
            }
        )
        self._define(scenario)

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Tables:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def select(self, name: str, making: tuple[str, ...] = ()) -> str:
        """The select of the query `name`, after everything that it reads was made.

        Raises:
            UnusableInput: there is no such query, or it reads itself.
            ScenarioFailed: a table that it reads cannot be made.
        """
        if name in making:
            raise UnusableInput(
                f"the scenario's queries go in a circle: {' reads '.join((*making, name))}"
            )
        path = self._queries.get(name)
        if path is None:
            raise UnusableInput(
                f"the scenario has no query {name!r}", hint=f"write {name}.sql below scenario/"
            )
        for table in sorted(self._read(path) - self._made):
            self._make(table, (*making, name))
        return _text(path)

    def forget_all_but(self, names: Iterable[str]) -> None:
        """Drop the tables that no query of `names` will read any more."""
        needed: set[str] = set()
        for name in names:
            self._add_needed(name, needed)
        for table in sorted(self._made - needed):
            self.connection.execute(f'drop table "{table}"')
            self._made.remove(table)

    def _add_needed(self, name: str, needed: set[str]) -> None:
        for table in self._read(self._queries[name]) - needed:
            needed.add(table)
            if table in self._queries and table not in self._made:
                self._add_needed(table, needed)

    def execute(self, name: str, statement: str) -> Any:
        """Run a statement around the query `name`, which stands in it as `{query}`."""
        try:
            return self.connection.execute(statement.replace("{query}", f"({self.select(name)}\n)"))
        except duckdb.Error as error:
            raise ScenarioFailed(f"{self._queries[name]}: {_said(error)}") from None

    def _make(self, table: str, making: tuple[str, ...]) -> None:
        if table in self._made:
            return
        if table in self._queries:
            select = self.select(table, making)
            where = self._queries[table]
        elif table in self._references:
            where = self._references[table]
            select = f"select * from read_csv('{_quoted(where)}', header = true)"
        else:
            return  # a name that DuckDB itself knows, or an error that it will report
        try:
            self.connection.execute(f'create temp table "{table}" as\n{select}')
        except duckdb.Error as error:
            raise ScenarioFailed(f"{where}: {_said(error)}") from None
        self._made.add(table)

    def _read(self, path: Path) -> set[str]:
        """The names of the tables that a file's select reads."""
        text = _text(path)
        if text not in _tables_read:
            # no parameter: binding one costs DuckDB's client the import of pandas
            statement = f"select json_serialize_sql({_literal(text)})"
            tree = json.loads(self.connection.execute(statement).fetchall()[0][0])
            if tree["error"]:
                raise ScenarioFailed(f"{path}: {tree['error_message']}")
            _tables_read[text] = _base_tables(tree)
        return _tables_read[text]

    def _set(self, variables: Mapping[str, int | float | datetime]) -> None:
        for name, value in variables.items():
            self.connection.execute(f"set variable {name} = {_literal(value)}")

    def _define(self, scenario: Scenario) -> None:
        own = Path(__file__).with_name(MACROS)
        self._run(own)
        self.connection.execute("create schema setting")
        for name, value in scenario.settings.items():
            self.connection.execute(f'create macro setting."{name}"() as {_literal(value)}')
        if (scenario.folder / MACROS).is_file():
            self._run(scenario.folder / MACROS)

    def _run(self, path: Path) -> None:
        try:
            self.connection.execute(path.read_text(encoding="utf-8"))
        except duckdb.Error as error:
            raise ScenarioFailed(f"{path}: {_said(error)}") from None


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").rstrip().rstrip(";")


def _base_tables(node: Any) -> set[str]:
    """Names after `from` and `join` in a parsed select, without those that its `with` defines."""
    if isinstance(node, list):
        return set().union(*map(_base_tables, node))
    if not isinstance(node, dict):
        return set()
    own = {node["table_name"]} if node.get("type") == "BASE_TABLE" else set()
    within = set().union(*map(_base_tables, node.values()))
    defined = {entry["key"] for entry in (node.get("cte_map") or {}).get("map", ())}
    return (own | within) - defined


def _queries(scenario: Scenario) -> dict[str, Path]:
    apart = {scenario.folder / MACROS}
    if scenario.database:
        apart.add(scenario.database.schema)
    paths = (path for path in sorted(scenario.folder.rglob("*.sql")) if path not in apart)
    return _by_stem(paths)


def _references(project: Project, scenario: Scenario) -> dict[str, Path]:
    seeds = sorted((project.root / "seeds").rglob("*.csv"))
    return _by_stem([*seeds, *sorted(scenario.folder.rglob("*.csv"))])


def _by_stem(paths: Iterable[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UnusableInput(f"{path} and {found[path.stem]} have the same name")
        found[path.stem] = path
    return found


def _literal(value: Setting | datetime) -> str:
    if isinstance(value, datetime):
        return f"timestamp '{value.isoformat(sep=' ')}'"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value!r}::double"
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    return f"'{_quoted(value)}'"


def _quoted(text: str | Path) -> str:
    return str(text).replace("'", "''")


def _said(error: duckdb.Error) -> str:
    return re.sub(r"\n\s*\n", "\n", str(error))
