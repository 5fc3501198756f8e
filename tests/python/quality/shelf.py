"""A published library: two tables under contract, made without a build."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from waypoint.cli.app import run_command

NOW = "2026-03-02 12:00:00"

LOANS = """\
apiVersion: v3.1.0
kind: DataContract
id: marts.loans
name: Loans
version: 1.0.0
status: active
domain: lending
tags: [critical]
description: {purpose: Books that left the desk.}
team: {name: branch-library}
schema:
  - name: loans
    physicalType: table
    description: Books that left the desk.
    dataGranularityDescription: One row per loan.
    properties:
      - {name: loan_id, logicalType: integer, physicalType: bigint, primaryKey: true,
         required: true, description: The loan's number.}
      - {name: shelfmark, logicalType: string, physicalType: varchar, required: true,
         description: Which book., logicalTypeOptions: {pattern: '^[A-Z] [0-9]{1,3}$'}}
      - {name: state, logicalType: string, physicalType: varchar, required: true,
         description: Where the book is., quality: [{metric: invalidValues,
         arguments: {validValues: [lent, returned]}, mustBe: 0}]}
      - {name: days, logicalType: integer, physicalType: integer, description: For how long.,
         logicalTypeOptions: {minimum: 1, maximum: 60}}
      - {name: reader, logicalType: string, physicalType: varchar, classification: pii,
         description: Who took it.}
      - {name: lent_date, logicalType: date, physicalType: date, required: true,
         description: When it left., logicalTypeOptions: {minimum: '2020-01-01'}}
      - {name: returned_date, logicalType: date, physicalType: date, description: Its return.}
      - {name: fine, logicalType: number, physicalType: 'decimal(18,2)', description: In euros.,
         logicalTypeOptions: {minimum: 0}}
      - {name: loaded_at, logicalType: timestamp, physicalType: timestamp, required: true,
         description: When the row was loaded (UTC).}
    quality:
      - {name: not_returned_before_lent, description: Time goes forward., type: sql, mustBe: 0,
         query: "select count(*) from {object} where returned_date < lent_date", severity: error}
      - {name: fines_are_for_late_books, description: Kindness is possible., type: sql, mustBe: 0,
         query: "select count(*) from {object} where fine > 0 and days < 14", severity: warning}
"""

RENEWALS = """\
apiVersion: v3.1.0
kind: DataContract
id: marts.renewals
name: Renewals
version: 1.0.0
status: active
domain: lending
description: {purpose: Loans that were made longer.}
team: {name: branch-library}
schema:
  - name: renewals
    physicalType: table
    description: Loans that were made longer.
    dataGranularityDescription: One row per loan and renewal.
    properties:
      - {name: loan_id, logicalType: integer, physicalType: bigint, primaryKey: true,
         primaryKeyPosition: 1, required: true, description: The loan's number.,
         relationships: [{to: loans.loan_id}]}
      - {name: renewal, logicalType: integer, physicalType: bigint, primaryKey: true,
         primaryKeyPosition: 2, required: true, description: Which one it is.}
      - {name: slip, logicalType: string, physicalType: varchar, unique: true,
         description: The slip that says so.}
    quality:
      - name: renewals_are_of_lent_books
        description: A book that came back cannot be kept longer.
        type: sql
        query: >-
          select count(*) from {object} as renewals inner join {marts.loans} as loans
          on loans.loan_id = renewals.loan_id where loans.returned_date is not null
        mustBe: 0
        severity: error
"""

TABLES = """
create schema marts;
create table marts.loans as
select
    cast(range as bigint) as loan_id,
    'A ' || (range % 100) as shelfmark,
    case when range % 2 = 0 then 'lent' else 'returned' end as state,
    cast(1 + range % 60 as integer) as days,
    'reader ' || range as reader,
    date '2026-02-01' as lent_date,
    case when range % 2 = 1 then date '2026-02-20' end as returned_date,
    case when range % 60 > 20 then cast(range % 7 as decimal(18, 2)) end as fine,
    timestamp '2026-03-02 11:00:00' - to_milliseconds(range) as loaded_at
from range(200);
create table marts.renewals as
select
    cast(range - range % 2 as bigint) as loan_id,
    cast(range % 2 as bigint) as renewal,
    'slip ' || range as slip
from range(20);
"""


@dataclass(frozen=True)
class Shelf:
    """The project's folder, and how it is asked."""

    root: Path
    captured: pytest.CaptureFixture[str]

    @property
    def published(self) -> Path:
        return self.root / "var" / "published" / "waypoint.duckdb"

    @property
    def data_docs(self) -> Path:
        return self.root / "var" / "published" / "data_docs"

    def fill(self) -> None:
        """Write the contracts, and tables that keep them."""
        contracts = self.root / "contracts" / "marts"
        contracts.mkdir(parents=True)
        (self.root / "dbt_project.yml").write_text("name: library\n")
        (contracts / "loans.yaml").write_text(LOANS)
        (contracts / "renewals.yaml").write_text(RENEWALS)
        self.published.parent.mkdir(parents=True)
        self.change(*filter(str.strip, TABLES.split(";")))
        self.set_clock(NOW)

    def change(self, *statements: str) -> None:
        """Change the published tables."""
        with duckdb.connect(str(self.published)) as connection:
            for statement in statements:
                connection.execute(statement)

    def set_clock(self, time: str) -> None:
        clock = self.root / "var" / "clock.json"
        clock.write_text(json.dumps({"as_of": time.replace(" ", "T")}))

    def quality(self, *words: str) -> tuple[int, Any]:
        """`waypoint quality run --json` in this process: its exit code, and what it said."""
        code = run_command(["-q", "quality", "run", "--json", *words])
        said = self.captured.readouterr()
        return code, json.loads(said.out) if said.out else said.err

    def findings(self, words: Sequence[str] = ()) -> dict[str, str]:
        """The severity of every rule that is not met, by table and rule."""
        _, document = self.quality(*words)
        return {
            f"{table['table']}.{finding['rule']}": finding["severity"]
            for table in document["tables"]
            for finding in table["findings"]
        }
