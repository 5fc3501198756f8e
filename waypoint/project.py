"""The project in the working directory: where its contracts, models, sources and state are."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from waypoint.contracts.model import Contracts
from waypoint.contracts.reading import read_contracts
from waypoint.errors import UnusableInput

#: Where a project keeps what it makes (landing area, warehouse, published copy), unless set.
STATE_VARIABLE = "WAYPOINT_STATE"
DEFAULT_STATE = "var"
#: Which dbt target the commands act on, unless set.
TARGET_VARIABLE = "WAYPOINT_TARGET"
DEFAULT_TARGET = "duckdb"


@dataclass(frozen=True)
class Project:
    """A dbt project with contracts and sources, and the folder that holds its state.

    `root` is the folder of `dbt_project.yml`; `state` is absolute and may not exist yet.
    """

    root: Path
    state: Path
    target: str = DEFAULT_TARGET

    @classmethod
    def find(cls, start: Path | None = None, target: str | None = None) -> Project:
        """The project that holds `start` (the working directory unless given).

        Raises:
            UnusableInput: no `dbt_project.yml` here or in any folder above.
        """
        here = (start or Path.cwd()).resolve()
        for folder in (here, *here.parents):
            if (folder / "dbt_project.yml").is_file():
                state = Path(os.environ.get(STATE_VARIABLE) or DEFAULT_STATE)
                return cls(
                    root=folder,
                    state=state if state.is_absolute() else folder / state,
                    target=target or os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET,
                )
        raise UnusableInput(
            f"no dbt_project.yml in {here} or any folder above it",
            hint="run waypoint inside a project, or pass --project-dir",
        )

    # what a person writes

    @property
    def contracts_dir(self) -> Path:
        return self.root / "contracts"

    @property
    def sources_file(self) -> Path:
        return self.root / "ingestion" / "sources.yml"

    @property
    def scenario_dir(self) -> Path:
        return self.root / "scenario"

    @property
    def pages_dir(self) -> Path:
        return self.root / "dbt_project" / "pages"

    @property
    def roles_file(self) -> Path:
        return self.root / "dbt_project" / "roles.yml"

    @cached_property
    def contracts(self) -> Contracts:
        """All contracts of the project, read once."""
        return read_contracts(self.contracts_dir)

    # what Waypoint makes

    @property
    def landing_dir(self) -> Path:
        return self.state / "landing"

    @property
    def inbox_dir(self) -> Path:
        """Where files are dropped for the file sources that name no folder of their own."""
        return self.state / "inbox"

    @property
    def warehouse_file(self) -> Path:
        # not raw.duckdb: DuckDB would confuse the catalog with the schema of the same name
        return self.state / "warehouse" / "waypoint.duckdb"

    @property
    def published_file(self) -> Path:
        # the same file name as the warehouse: views hold the catalog's name, which is the stem
        return self.state / "published" / "waypoint.duckdb"

    @property
    def page_file(self) -> Path:
        return self.state / "published" / "index.html"

    @property
    def lineage_file(self) -> Path:
        return self.page_file.with_name("lineage.html")
