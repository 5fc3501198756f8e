"""What came of a build, as dbt wrote it down, and in people's terms."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from waypoint.dbt_running import FAILED_STATUSES, target_dir
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED, lock_conflict, reading

#: dbt's commands that make or test tables; the results of others say nothing about those.
MAKING_COMMANDS = frozenset({"build", "run", "seed", "snapshot", "test", "retry"})
UNIT_TEST = "unit_test"
_CONTRACT_TEST = "contract_rules"  # macros/contracts/contract_rules.sql
_NOT_BUILT = ("operation", "exposure")  # in dbt's results, but nothing that is made
_HEADING = re.compile(r"\w+ Error in \w+ \S+ \(.*\)$")
_EXCERPT = re.compile(r"\s*(LINE \d+:|> in macro |> called by )")
_LONGEST = 20  # lines of one message


@dataclass(frozen=True)
class BrokenRule:
    """A rule of a table's contract that rows break, and how many do."""

    table: str
    rule: str
    violations: int
    severity: str  # "error" or "warning"


@dataclass(frozen=True)
class Node:
    """What came of one node of dbt's graph."""

    unique_id: str
    kind: str  # model, test, unit_test, seed, snapshot ...
    name: str
    table: str | None  # the full name of the table that it makes or tests
    status: str
    seconds: float
    message: str = ""

    @property
    def failed(self) -> bool:
        return self.status in FAILED_STATUSES


@dataclass(frozen=True)
class Built:
    """What came of a build."""

    nodes: tuple[Node, ...]
    broken_rules: tuple[BrokenRule, ...]
    seconds: float
    remarks: tuple[str, ...] = ()  # what went wrong beside the build, and does not fail it

    @property
    def failures(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.failed)

    @property
    def skipped(self) -> tuple[Node, ...]:
        """Nodes that were not built because something they need failed."""
        return tuple(node for node in self.nodes if node.status == "skipped")

    def problems(self) -> list[str]:
        """Every failure and warning in people's terms, marked ✗ or !, failures first."""
        return [
            *(f"✗ {told}" for told in _problems(self, "error")),
            *(f"! {told}" for told in _problems(self, "warning")),
        ]

    def counts(self) -> dict[str, int]:
        """How many nodes of each kind were built or passed."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            if not node.failed and node.status != "skipped" and node.kind not in _NOT_BUILT:
                counts[node.kind] = counts.get(node.kind, 0) + 1
        return counts


def read_results(project: Project, seconds: float) -> Built:
    """What dbt's last run of the project came to; it took `seconds`.

    Raises:
        Unavailable: another process held the warehouse.
    """
    results = json.loads((target_dir(project) / "run_results.json").read_text(encoding="utf-8"))
    manifest = json.loads((target_dir(project) / "manifest.json").read_text(encoding="utf-8"))
    known: Mapping[str, Any] = {
        **manifest["nodes"],
        **manifest.get("unit_tests", {}),
        **manifest.get("sources", {}),
    }
    nodes = tuple(_node(result, known) for result in results["results"])
    for node in nodes:
        conflict = lock_conflict(project.warehouse_file, node.message) if node.failed else None
        if conflict is not None:
            raise conflict
    broken = tuple(_broken_rules(project, results["results"], known))
    return Built(nodes=nodes, broken_rules=broken, seconds=seconds)


def _node(result: Mapping[str, Any], known: Mapping[str, Any]) -> Node:
    unique_id = result["unique_id"]
    entry = known.get(unique_id, {})
    return Node(
        unique_id=unique_id,
        kind=unique_id.split(".", 1)[0],
        name=entry.get("name", unique_id),
        table=_table(entry, known),
        status=result["status"],
        seconds=result["execution_time"],
        message=(result.get("message") or "").strip(),
    )


def _table(entry: Mapping[str, Any], known: Mapping[str, Any]) -> str | None:
    """The full name of the table that a node makes, or that a test is about."""
    tested = entry.get("attached_node") or entry.get("tested_node_unique_id")
    if not tested and (entry.get("test_metadata") or {}).get("name") == _CONTRACT_TEST:
        # dbt attaches no test to a source; the first that it depends on is the one it is about
        tested = next(iter((entry.get("depends_on") or {}).get("nodes", ())), None)
    entry = known.get(tested, entry) if tested else entry
    if entry.get("resource_type") in ("model", "seed", "snapshot", "source"):
        return f"{entry['schema']}.{entry.get('alias') or entry['name']}"
    return None


def _broken_rules(
    project: Project, results: Sequence[Mapping[str, Any]], known: Mapping[str, Any]
) -> Iterator[BrokenRule]:
    """The rules behind the failed and warning contract tests.

    dbt keeps only how many rules are broken; which ones, its compiled query is asked again.
    """
    asked = [r for r in results if r["status"] in ("fail", "warn") and _is_contract_test(r, known)]
    if not asked or project.target != EMBEDDED:
        return
    with reading(project.warehouse_file) as connection:
        for result in asked:
            entry = known[result["unique_id"]]
            found = connection.execute(result["compiled_code"]).fetchall()
            for rule, violations, severity in found:
                yield BrokenRule(_table(entry, known) or entry["name"], rule, violations, severity)


def _is_contract_test(result: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    entry = known.get(result["unique_id"], {})
    return (entry.get("test_metadata") or {}).get("name") == _CONTRACT_TEST and bool(
        result.get("compiled_code")
    )


# what people are told


def _problems(built: Built, severity: str) -> Iterator[str]:
    explained = set()
    for broken in built.broken_rules:
        if broken.severity == severity:
            explained.add((broken.table, severity))
            times = "once" if broken.violations == 1 else f"{broken.violations:,} times"
            yield f"{broken.table}: {broken.rule} is broken {times}"
    for node in built.nodes:
        found = "error" if node.failed else "warning" if node.status == "warn" else None
        if found == severity and (node.kind != "test" or (node.table, severity) not in explained):
            yield _problem(node)


def _problem(node: Node) -> str:
    if node.kind == "test":
        of = f"{node.table}: " if node.table else ""
        return f"{of}test {node.name}: {_indented(node.message)}"
    if node.kind == UNIT_TEST:
        return f"{node.table}: unit test {node.name} fails\n{_indented(node.message, first=True)}"
    return f"{node.table or node.name} could not be built: {_indented(node.message)}"


def _indented(message: str, first: bool = False) -> str:
    """dbt's message without its heading ("Runtime Error in model ...") and the statement."""
    lines = [line.strip() if not first else line for line in message.splitlines() if line.strip()]
    if len(lines) > 1 and _HEADING.match(lines[0].strip()):
        lines = lines[1:]
    kept = list(itertools.takewhile(lambda line: not _EXCERPT.match(line), lines)) or lines[:1]
    text = "\n".join(f"    {line}" for line in kept[:_LONGEST])
    return text if first else text.strip()
