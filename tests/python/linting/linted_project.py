"""A project of two contracts that nothing is wrong with, to be spoilt one line at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from waypoint.contracts.linting.finding import Finding
from waypoint.contracts.linting.linting import lint
from waypoint.project import Project

#: Has one of everything that lint looks at.
LOANS = """\
apiVersion: v3.1.0
kind: DataContract
id: marts.loans
name: Loans
version: 1.2.0
status: active
domain: lending
tags: [critical]
description:
  purpose: Who has which book.
team:
  name: library-data
roles:
  - role: reader
    access: read
    firstLevelApprovers: librarian
  - role: keeper
    access: write
    firstLevelApprovers: librarian
    secondLevelApprovers: mayor
schema:
  - name: loans
    physicalType: table
    description: Books that are lent.
    dataGranularityDescription: One row per loan.
    properties:
      - name: loan_id
        logicalType: integer
        physicalType: bigint
        primaryKey: true
        required: true
        description: Id of the loan.
      - name: member_id
        logicalType: string
        physicalType: varchar
        required: true
        description: Who borrowed it.
        relationships:
          - to: members.member_id
      - name: state
        logicalType: string
        physicalType: varchar
        required: true
        description: Where the book is.
        quality:
          - metric: invalidValues
            arguments:
              validValues: [out, back, lost]
            mustBe: 0
      - name: days
        logicalType: integer
        physicalType: integer
        description: How long it was lent for, in days.
        logicalTypeOptions:
          minimum: 1
          maximum: 90
      - name: fee_amount
        logicalType: number
        physicalType: decimal(18,2)
        description: What the loan cost, in euros.
      - name: shelfmark
        logicalType: string
        physicalType: varchar
        description: Where the book belongs.
        logicalTypeOptions:
          pattern: '[A-Z]+ [0-9]+'
      - name: email
        logicalType: string
        physicalType: varchar
        classification: pii
        description: Where reminders go.
      - name: lent_at
        logicalType: timestamp
        physicalType: timestamp
        required: true
        description: When it left the desk (UTC).
      - name: loaded_at
        logicalType: timestamp
        physicalType: timestamp
        required: true
        description: When it was loaded (UTC).
    quality:
      - name: lost_books_cost_something
        description: A lost book without a fee was forgotten at the desk.
        type: sql
        query: "select count(*) from {object} where state = 'lost' and fee_amount is null"
        mustBe: 0
        severity: warning
      - name: lent_to_members
        description: Only those who joined can borrow.
        type: sql
        query: >-
          with early as (select member_id, min(lent_at) as lent_at from {object} group by member_id)
          select count(*) from early join {staging.members} as m on early.member_id = m.member_id
          where early.lent_at < m.joined_at
        mustBe: 0
        severity: error
slaProperties:
  - property: freshness
    value: 4
    unit: h
    element: loans.loaded_at
  - property: retention
    value: 10
    unit: y
    element: loans.lent_at
customProperties:
  - property: freshnessWarnAfter
    value: 2 h
"""

MEMBERS = """\
apiVersion: v3.1.0
kind: DataContract
id: staging.members
name: Members
version: 1.0.0
status: active
domain: lending
description: {purpose: Who may borrow.}
team: {name: library-data}
roles:
  - {role: keeper, access: write, firstLevelApprovers: librarian, secondLevelApprovers: mayor}
schema:
  - name: members
    physicalType: table
    description: Holders of a card.
    properties:
      - {name: member_id, logicalType: string, physicalType: varchar, primaryKey: true,
         description: Number of the card.}
      - {name: joined_at, logicalType: timestamp, physicalType: timestamp,
         description: When the card was handed out (UTC).}
"""

SLIPS = """\
apiVersion: v3.1.0
kind: DataContract
id: topics.lending-slips
name: Lending slips
version: 1.0.0
status: active
domain: lending
description: {purpose: What leaves the desk.}
team: {name: library-data}
roles:
  - {role: keeper, access: write, firstLevelApprovers: librarian, secondLevelApprovers: mayor}
schema:
  - name: lending-slips
    physicalType: topic
    description: A slip for each book that leaves the desk.
    properties:
      - name: desk
        logicalType: object
        physicalType: object
        description: Where it was.
        customProperties:
          - property: notPersonal
            value: a piece of furniture
        properties:
          - name: lat
            logicalType: number
            physicalType: double
            description: Latitude in degrees.
          - name: lng
            logicalType: number
            physicalType: double
            description: Longitude in degrees.
slaProperties:
  - {property: retention, value: 1, unit: d}
customProperties:
  - {property: format, value: json}
  - {property: key, value: desk}
  - {property: partitions, value: 3}
  - {property: replication, value: 2}
  - {property: cleanup, value: delete}
"""

ROLES = """\
reader: {read: [marts], approvers: [librarian]}
keeper: {write: [staging, marts, topics], approvers: [librarian, mayor]}
catalogue: {read: [marts], named: true, approvers: [librarian]}
"""

#: Marks the line on which a finding is expected.
HERE = "# here"


@dataclass(frozen=True)
class Contracts:
    """The project, and what lint finds in it."""

    root: Path

    @classmethod
    def written_to(cls, root: Path) -> Contracts:
        contracts = cls(root)
        for name, text in (
            ("contracts/marts/loans.yaml", LOANS),
            ("contracts/staging/members.yaml", MEMBERS),
            ("contracts/topics/lending-slips.yaml", SLIPS),
            ("dbt_project/roles.yml", ROLES),
            ("dbt_project.yml", "name: library\nprofile: library\n"),
        ):
            contracts.write(name, text)
        return contracts

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    @property
    def project(self) -> Project:
        return Project.find(self.root)

    def findings(self, *paths: Path) -> tuple[Finding, ...]:
        return lint(self.project, paths).findings
