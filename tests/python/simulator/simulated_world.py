"""A small simulated world, and all that was played into it so far."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import yaml

from waypoint.project import Project
from waypoint.services import postgres
from waypoint.simulator.play import Play, play
from waypoint.simulator.scenario import Scenario, read_scenario
from waypoint.simulator.sources import Places
from waypoint.simulator.stripe_api import ChargeStore

REPOSITORY = Path(__file__).parents[3]
SCALE = 0.02
OPENED = datetime(2026, 1, 31, 10)


@dataclass
class World:
    """The repository's scenario over a few days instead of weeks, with a state of its own."""

    project: Project
    played: list[Play] = field(default_factory=list)

    @classmethod
    def made_in(cls, folder: Path, **settings: Any) -> World:
        """A world below `folder`; `settings` replace those of the scenario."""
        root = folder / "project"
        shutil.copytree(REPOSITORY / "scenario", root / "scenario")
        (root / "contracts").symlink_to(REPOSITORY / "contracts")
        (root / "seeds").symlink_to(REPOSITORY / "seeds")
        shutil.copy(REPOSITORY / "dbt_project.yml", root)
        path = root / "scenario" / "scenario.yml"
        scenario = yaml.safe_load(path.read_text())
        scenario["period"] = {"history": "4 days", "full": "5 hours"}
        # what is rare is less so, or there would be none of it here
        scenario["settings"] |= {"late_share": 0.1, "native_changes": 0.1} | settings
        for topic in scenario["topics"]["messages"].values():
            topic["duplicates"] = 10 * topic.get("duplicates", 0)
            topic["poison"] = 20 * topic.get("poison", 0)
        path.write_text(yaml.safe_dump(scenario, sort_keys=False))
        return cls(Project(root=root, state=folder / "var"))

    def play(
        self,
        until: datetime | None = OPENED,
        seed: int | None = 5,
        report: Callable[[str, int], None] = lambda _what, _rows: None,
    ) -> Play:
        result = play(self.project, until, seed, SCALE, report)
        self.played.append(result)
        return result

    @property
    def scenario(self) -> Scenario:
        return read_scenario(self.project)

    # what there is

    @property
    def places(self) -> Places:
        return Places.of(self.project)

    def messages(self, query: str) -> list[Any]:
        """An SQL query over `messages`: topic, partition, offset, timestamp (ms), key, value."""
        with duckdb.connect() as connection:
            connection.execute(
                f"""
                create view messages as
                select topic, partition, "offset", timestamp, key, value
                from read_parquet('{self.places.dumps}/*/*.parquet')
                union all by name
                select
                    topic, partition, "offset", timestamp, key,
                    case when json_type(value) = 'VARCHAR' then value ->> '$'
                    else nullif(value::varchar, 'null') end as value
                from read_json(
                    '{self.places.dumps}/*/*.ndjson.gz',
                    format = 'newline_delimited',
                    columns = {{
                        topic: 'varchar', partition: 'integer', "offset": 'bigint',
                        timestamp: 'bigint', key: 'varchar', value: 'json'
                    }}
                )
                """
            )
            return connection.execute(query).fetchall()

    def rows(self, query: str) -> list[Any]:
        """An SQL query over the database."""
        with (
            postgres.running(self.places.postgres) as server,
            psycopg.connect(server.dsn("travel_booking")) as connection,
        ):
            return connection.execute(query.encode()).fetchall()

    def charges(self) -> list[str]:
        return sorted(ChargeStore(self.places.charges).page(10_000_000)[0])

    def files(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(self.places.drops.iterdir())}

    def dump_digests(self) -> dict[str, str]:
        """A digest of each dump file's bytes."""
        return {
            str(path.relative_to(self.places.dumps)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.places.dumps.rglob("*"))
            if path.is_file()
        }

    def everything(self) -> dict[str, Any]:
        """The state of every output, by its content."""
        database = self.scenario.database
        assert database
        with (
            postgres.running(self.places.postgres) as server,
            psycopg.connect(server.dsn(database.name)) as connection,
        ):
            tables = {
                table: connection.execute(f"select * from {table} order by id".encode()).fetchall()
                for table in database.tables
            }
        return {
            **tables,
            "charges": self.charges(),
            "files": self.files(),
            "messages": self.messages("select * from messages order by all"),
        }
