"""An account that remembers what was run, and answers as Snowflake's SHOW and functions do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from waypoint.access.account import NotThere

_GRANT = re.compile(r"grant (\w+) on (\w+) (\S+) to role (\w+)")
_FUTURE = re.compile(r"grant (\w+) on future (\w+)s in schema (\S+) to role (\w+)")
_TAG = re.compile(r'alter table (\S+) modify column "(\w+)" set tag (\S+) = \'(\w+)\'')
_ON_TAG = re.compile(r"alter tag (\S+) set masking policy (\S+) force")
_BODY = re.compile(r"alter (?:masking|row access) policy (\S+) set body -> (.*)", re.S)
_ON_ROWS = re.compile(r'alter table (\S+) .* add row access policy (\S+) on \("(\w+)"\)')


@dataclass
class StandIn:
    """Understands the statements of a plan; what it holds can be changed by a test."""

    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    grants: set[tuple[str, str, str, str]] = field(default_factory=set)
    future: set[tuple[str, str, str, str]] = field(default_factory=set)
    tags: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    policies: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    bodies: dict[str, str] = field(default_factory=dict)
    is_empty: bool = False  # without roles and policies, so that asking for them fails

    def run(self, sql: str, parameters: Sequence[str] = ()) -> list[Mapping[str, Any]]:
        self.ran.append((sql, tuple(parameters)))
        if self.is_empty:
            raise NotThere("Snowflake: SQL compilation error: it does not exist or not authorized")
        if sql.startswith("show grants to role "):
            return [self._grant_row(*g) for g in sorted(self.grants) if g[3] == sql.split()[-1]]
        if sql.startswith("show future grants to role "):
            return [self._future_row(*g) for g in sorted(self.future) if g[3] == sql.split()[-1]]
        if "POLICY_REFERENCES" in sql:
            return self._references(sql.split("POLICY_NAME => '")[1].split("'")[0])
        if "TAG_REFERENCES_ALL_COLUMNS" in sql:
            return self._tagged(sql.split("COLUMNS('")[1].split("'")[0])
        if sql.startswith("describe "):
            name = sql.split()[-1]
            return [{"name": name, "body": self.bodies[name]}] if name in self.bodies else []
        self._remember(sql)
        return []

    def _remember(self, sql: str) -> None:
        if found := _GRANT.fullmatch(sql):
            privilege, kind, what, role = found.groups()
            self.grants.add((privilege.upper(), kind.upper(), what, role))
        elif found := _FUTURE.fullmatch(sql):
            privilege, kind, schema, role = found.groups()
            self.future.add((privilege.upper(), kind.upper(), schema, role))
        elif found := _TAG.fullmatch(sql):
            table, column, tag, value = found.groups()
            self.tags[table, column] = (tag, value)
        elif found := _ON_TAG.fullmatch(sql):
            self.policies[found[2]] = (found[1], None)
        elif found := _BODY.fullmatch(sql):
            self.bodies[found[1]] = found[2]
        elif found := _ON_ROWS.fullmatch(sql):
            self.policies[found[2]] = (found[1], found[3])

    def _grant_row(self, privilege: str, kind: str, what: str, role: str) -> dict[str, Any]:
        return {
            "privilege": privilege,
            "granted_on": kind,
            "name": what,
            "granted_to": "ROLE",
            "grantee_name": role,
        }

    def _future_row(self, privilege: str, kind: str, schema: str, role: str) -> dict[str, Any]:
        return {
            "privilege": privilege,
            "grant_on": kind,
            "name": f"{schema}.<{kind}>",
            "grant_to": "ROLE",
            "grantee_name": role,
        }

    def _references(self, policy: str) -> list[Mapping[str, Any]]:
        if policy not in self.policies:
            return []
        where, column = self.policies[policy]
        database, schema, name = where.split(".")
        return [
            {
                "ref_database_name": database,
                "ref_schema_name": schema,
                "ref_entity_name": name,
                "ref_entity_domain": "TABLE" if column else "TAG",
                "ref_arg_column_names": json.dumps([column]) if column else None,
            }
        ]

    def _tagged(self, table: str) -> list[Mapping[str, Any]]:
        rows = []
        for (tagged, column), (tag, value) in self.tags.items():
            if tagged == table:
                database, schema, name = tag.split(".")
                rows.append(
                    {
                        "tag_database": database,
                        "tag_schema": schema,
                        "tag_name": name,
                        "tag_value": value,
                        "column_name": column,
                    }
                )
        return rows
