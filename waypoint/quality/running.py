"""Running the suites of many tables in one process: importing Great Expectations takes seconds."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from waypoint.clock import now
from waypoint.contracts.derived.expectations import AS_OF, suite
from waypoint.contracts.model import Contract
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.quality.batches import ROWS, newest_rows
from waypoint.quality.results import Finding, QualityRun, TableResult
from waypoint.warehouse import EMBEDDED, NothingPublished, first_line, published, reading

if TYPE_CHECKING:
    import duckdb
    from great_expectations.core import ExpectationValidationResult

#: The tag of the contracts whose tables are looked at in every scheduled run.
CRITICAL = "critical"
ALL, NONE = "all", "none"
CHOICES = (CRITICAL, ALL, NONE)

_PERSONAL = "pii"
_SHOWN_VALUES = 5  # unexpected values that a result keeps, of tables without personal data


def chosen_tables(project: Project, which: str) -> list[Contract]:
    """The contracts of all tables, of those tagged as critical, or of none.

    Raises:
        UnusableInput: `which` is none of these words, or no table is critical.
    """
    if which not in CHOICES:
        raise UnusableInput(f"quality {which!r}: expected one of {', '.join(CHOICES)}")
    if which == NONE:
        return []
    if which == ALL:
        return project.contracts.tables
    chosen = [contract for contract in project.contracts.tables if CRITICAL in contract.tags]
    if not chosen:
        raise UnusableInput(
            f"no contract of a table is tagged {CRITICAL}",
            hint=f"write `tags: [{CRITICAL}]` into some, or look at all tables",
        )
    return chosen


def selected_tables(project: Project, names: Iterable[str]) -> list[Contract]:
    """The contracts of the tables called `names` (`schema.table`).

    Raises:
        UnusableInput: no contract describes a table of such a name.
    """
    known = {contract.full_name: contract for contract in project.contracts.tables}
    chosen = []
    for name in names:
        if name not in known:
            raise UnusableInput(
                f"no contract describes a table {name}",
                hint="name it as <schema>.<table>; `waypoint status` lists all",
            )
        chosen.append(known[name])
    return chosen


def run_suites(
    project: Project,
    contracts: Iterable[Contract],
    *,
    rows: int = ROWS,
    built: bool = False,
    watch: Callable[[str, int, int], None] = lambda _table, _done, _total: None,
) -> QualityRun:
    """Hold the tables of `contracts` against their suites, and write Data Docs about them.

    Looks at what is published, or with `built` at the warehouse as it was last built. At most
    `rows` rows of a table are read, the newest. `watch` is told the table that is next, and how
    many are done of how many.

    Raises:
        UnusableInput: Great Expectations is not installed, the target is another warehouse, or
            there is nothing to look at.
        Unavailable: another process writes to the warehouse.
    """
    wall, cpu = time.monotonic(), time.process_time()
    refuse_where_impossible(project)
    chosen = list(contracts)
    as_of = now(project)
    from waypoint.quality.data_docs import write_data_docs

    with _opened(project, built) as connection:
        suites = _Suites(as_of)
        results = []
        for done, contract in enumerate(chosen):
            watch(contract.full_name, done, len(chosen))
            results.append(_result(suites, connection, contract, rows))
    data_docs = write_data_docs(
        suites.context, project.published_file.parent / "data_docs", results, as_of
    )
    return QualityRun(
        tables=tuple(results),
        data_docs=data_docs,
        as_of=as_of,
        seconds=time.monotonic() - wall,
        cpu_seconds=time.process_time() - cpu,
    )


def refuse_where_impossible(project: Project) -> None:
    """Say at once what would come to light late.

    Raises:
        UnusableInput: Great Expectations is not installed, or the target is another warehouse.
    """
    if project.target != EMBEDDED:
        raise UnusableInput(
            f"target {project.target}: the suites are run on the embedded warehouse only",
            hint="elsewhere, the tests of `waypoint build` check the same rules in the warehouse",
        )
    if find_spec("great_expectations") is None:
        raise UnusableInput("Great Expectations is not installed", hint="`make setup` installs it")


def _opened(project: Project, built: bool) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
    if not built:
        return published(project)
    if not project.warehouse_file.exists():
        raise NothingPublished(
            f"there is no warehouse yet: {project.warehouse_file} is not there",
            hint="`waypoint run` makes one",
        )
    return reading(project.warehouse_file)


def _result(
    suites: _Suites, connection: duckdb.DuckDBPyConnection, contract: Contract, rows: int
) -> TableResult:
    start = time.monotonic()
    batch = newest_rows(connection, contract, rows)
    if batch is None:
        passed, findings = (
            0,
            [Finding("table_is_there", "error", "", f"there is no table {contract.full_name}")],
        )
    else:
        passed, findings = suites.validate(contract, batch.frame)
    return TableResult(
        table=contract.full_name,
        owner=contract.owner,
        rows=batch.rows if batch else 0,
        looked_at=len(batch.frame) if batch else 0,
        passed=passed,
        findings=tuple(findings),
        seconds=time.monotonic() - start,
    )


class _Suites:
    """Great Expectations, with the suites and results of one run."""

    def __init__(self, as_of: datetime) -> None:
        import great_expectations
        from great_expectations.data_context.types.base import ProgressBarsConfig

        import waypoint.quality.row_queries  # noqa: F401  (registers what it defines)

        self._gx = great_expectations
        self._as_of = as_of
        with _quietly():
            self.context = great_expectations.get_context(mode="ephemeral")
            self.context.variables.progress_bars = ProgressBarsConfig(
                globally=False, metric_calculations=False
            )
            self._source = self.context.data_sources.add_pandas("warehouse")

    def validate(self, contract: Contract, frame: Any) -> tuple[int, list[Finding]]:
        """How many expectations the batch meets, and the others."""
        gx = self._gx
        name = contract.full_name
        personal = any(column.classification == _PERSONAL for column in contract.columns)
        with _quietly():
            asset = self._source.add_dataframe_asset(name)
            definition = gx.ValidationDefinition(
                name=name,
                data=asset.add_batch_definition_whole_dataframe("newest_rows"),
                suite=self.context.suites.add(gx.ExpectationSuite(**suite(contract))),
            )
            validation = self.context.validation_definitions.add(definition)
            result = validation.run(
                batch_parameters={"dataframe": frame},
                expectation_parameters={AS_OF: self._as_of},
                result_format={
                    "result_format": "SUMMARY",
                    "partial_unexpected_count": 0 if personal else _SHOWN_VALUES,
                },
            )
        unmet = [_finding(each) for each in result.results if not each.success]
        return len(result.results) - len(unmet), unmet


def _quietly() -> warnings.catch_warnings[None]:
    """GE remarks on its own workings at length; none of it is about the tables."""
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    return warnings.catch_warnings(action="ignore")


def _finding(result: ExpectationValidationResult) -> Finding:
    config: Any = result.expectation_config
    return Finding(
        rule=config.meta["rule"],
        severity="warning" if config.severity == "warning" else "error",
        expectation=config.type,
        detail=_detail(result.result or {}, result.exception_info or {}),
    )


def _detail(found: Mapping[str, Any], trouble: Mapping[str, Any]) -> str:
    """What was found instead, in a few words."""
    if "unexpected_count" in found:
        values = ", ".join(str(value) for value in found.get("partial_unexpected_list") or [])
        counted = f"{found['unexpected_count']:,} of {found['element_count']:,} rows"
        return f"{counted}, e.g. {values}" if values else counted
    if found.get("observed_value") is not None:
        return f"found {found['observed_value']}"
    # an expectation that could not be evaluated: GE keeps one or many exceptions
    messages = [
        str(part["exception_message"])
        for part in (trouble, *(p for p in trouble.values() if isinstance(p, dict)))
        if isinstance(part, Mapping) and part.get("exception_message")
    ]
    return first_line(messages[0]) if messages else "nothing was found"
