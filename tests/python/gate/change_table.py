"""Every kind of change that a contract can undergo: the edit, what it is called, whom it breaks.

The tests run the gate on each, and `docs/contract-changes.md` is made of the same list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]

MODELS, DASHBOARDS, ML = "models", "dashboards", "ML features and models"
TOPICS, ROLES, PRODUCERS = "topic consumers", "roles", "producers"
READERS = {MODELS, DASHBOARDS, ML, TOPICS, ROLES}
EVERYBODY = READERS | {PRODUCERS}
NOBODY: set[str] = set()

LOANS = "staging.stg_loans"
BY_DAY = "marts.loans_by_day"
RAW = "raw.loans"
SLIPS = "topics.loan-slips"

#: Everything that is built from the loans, and what hangs on it.
ALL_OF_LOANS = {
    "marts.loans_by_day",
    "ml_features.reader_features",
    "lending_board",
    "lapse_prediction",
    "lending-days",
    "analyst",
    "data_engineer",
    "ml_engineer",
}
#: The day's loans alone, and what hangs on them.
DAYS = {"marts.loans_by_day", "lending_board", "lending-days", "analyst"}
FEATURES = {"ml_features.reader_features", "lapse_prediction"}
OWN_ROLES = {"data_engineer", "ml_engineer"}


@dataclass(frozen=True)
class Case:
    """One change: `breaks` and `consumers` are what the gate must say, `kind` what it calls it."""

    name: str
    contract: str
    edit: Callable[[Document], object]
    kind: str
    breaks: frozenset[str]
    consumers: frozenset[str]

    @property
    def exit_code(self) -> int:
        return int(bool(self.breaks))


def column(document: Document, name: str) -> Document:
    return next(c for c in document["schema"][0]["properties"] if c["name"] == name)


def drop(document: Document, name: str) -> None:
    document["schema"][0]["properties"].remove(column(document, name))


def add(document: Document, name: str, **more: Any) -> None:
    made = {"name": name, "logicalType": "string", "physicalType": "varchar"}
    made |= {"description": "Something new."}
    document["schema"][0]["properties"].append(made | more)


def options(document: Document, name: str, **values: Any) -> None:
    column(document, name)["logicalTypeOptions"].update(values)


def allowed(document: Document, name: str, *values: str) -> None:
    column(document, name)["quality"][0]["arguments"]["validValues"] = list(values)


def level(document: Document, name: str, **values: Any) -> None:
    found = [sla for sla in document.setdefault("slaProperties", []) if sla["property"] == name]
    if not found:
        found = [{"property": name}]
        document["slaProperties"] += found
    found[0].update(values)


def custom(document: Document, name: str, value: Any) -> None:
    next(p for p in document["customProperties"] if p["property"] == name)["value"] = value


def rule(document: Document, name: str) -> Document:
    return next(q for q in document["schema"][0]["quality"] if q["name"] == name)


def _case(
    name: str,
    contract: str,
    edit: Callable[[Document], object],
    kind: str,
    breaks: set[str] = NOBODY,
    consumers: set[str] = NOBODY,
) -> Case:
    return Case(name, contract, edit, kind, frozenset(breaks), frozenset(consumers))


CASES = [
    # columns
    _case("a column is added", LOANS, lambda d: add(d, "colour"), "column added"),
    _case(
        "a column that a mart reads is dropped",
        LOANS,
        lambda d: drop(d, "fee"),
        "column dropped",
        READERS,
        DAYS | OWN_ROLES,
    ),
    _case(
        "a column that only filters rows is dropped",
        LOANS,
        lambda d: drop(d, "state"),
        "column dropped",
        READERS,
        DAYS | OWN_ROLES,
    ),
    _case(
        "a column that nobody reads is dropped",
        LOANS,
        lambda d: drop(d, "note"),
        "column dropped",
        READERS,
        OWN_ROLES,
    ),
    _case(
        "a column is renamed",
        LOANS,
        lambda d: column(d, "reader_id").update(name="card_number"),
        "column renamed",
        READERS,
        FEATURES | OWN_ROLES,
    ),
    _case(
        "a column is retyped",
        LOANS,
        lambda d: column(d, "fee").update(physicalType="double"),
        "column retyped",
        READERS,
        DAYS - {"lending_board"} | OWN_ROLES,
    ),
    _case(
        "a type narrows",
        LOANS,
        lambda d: column(d, "reader_id").update(physicalType="integer"),
        "type narrowed",
        EVERYBODY,
        FEATURES | OWN_ROLES | {LOANS},
    ),
    _case(
        "a type widens",
        LOANS,
        lambda d: column(d, "slip_number").update(physicalType="bigint"),
        "type widened",
        {MODELS, ML, TOPICS},
        NOBODY,
    ),
    _case(
        "the unit of a column changes",
        LOANS,
        lambda d: column(d, "fee").update(description="What the loan cost in cents."),
        "unit changed",
        READERS,
        DAYS - {"lending_board"} | OWN_ROLES,
    ),
    _case(
        "a column is described in other words",
        LOANS,
        lambda d: column(d, "note").update(description="A remark of the desk."),
        "description changed",
    ),
    # what columns may hold
    _case(
        "the key changes",
        LOANS,
        lambda d: (
            column(d, "loan_id").pop("primaryKey"),
            column(d, "slip_number").update(primaryKey=True),
        ),
        "key changed",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "the key is given up",
        LOANS,
        lambda d: column(d, "loan_id").pop("primaryKey"),
        "key dropped",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "a column is newly required",
        LOANS,
        lambda d: column(d, "note").update(required=True),
        "newly required",
        {PRODUCERS},
        {LOANS},
    ),
    _case(
        "a column is no longer required",
        LOANS,
        lambda d: column(d, "fee").pop("required"),
        "no longer required",
        READERS,
        DAYS - {"lending_board"} | OWN_ROLES,
    ),
    _case(
        "a column's values must not repeat",
        LOANS,
        lambda d: column(d, "note").update(unique=True),
        "newly unique",
        {PRODUCERS},
        {LOANS},
    ),
    _case(
        "a column's values may repeat",
        LOANS,
        lambda d: column(d, "slip_number").pop("unique"),
        "no longer unique",
        READERS,
        OWN_ROLES,
    ),
    _case(
        "an allowed value is taken away",
        LOANS,
        lambda d: allowed(d, "state", "out", "back"),
        "allowed values narrowed",
        EVERYBODY,
        DAYS | OWN_ROLES | {LOANS},
    ),
    _case(
        "an allowed value is added",
        LOANS,
        lambda d: allowed(d, "state", "out", "back", "lost", "stolen"),
        "allowed values widened",
        READERS,
        DAYS | OWN_ROLES,
    ),
    _case(
        "a list of allowed values is opened",
        LOANS,
        lambda d: column(d, "state").pop("quality"),
        "allowed values no longer listed",
        READERS,
        DAYS | OWN_ROLES,
    ),
    _case(
        "a range narrows",
        LOANS,
        lambda d: options(d, "fee", maximum=50),
        "range narrowed",
        {PRODUCERS},
        {LOANS},
    ),
    _case(
        "a range widens",
        LOANS,
        lambda d: options(d, "fee", minimum=-10),
        "range widened",
        READERS,
        DAYS - {"lending_board"} | OWN_ROLES,
    ),
    _case(
        "a pattern changes",
        LOANS,
        lambda d: options(d, "shelfmark", pattern="[A-Z]{2} [0-9]+"),
        "pattern changed",
        EVERYBODY,
        OWN_ROLES | {LOANS},
    ),
    _case(
        "a reference is given up",
        LOANS,
        lambda d: column(d, "reader_id").pop("relationships"),
        "reference dropped",
        READERS,
        FEATURES | OWN_ROLES,
    ),
    # rules
    _case(
        "a rule is added to a table that is built here",
        LOANS,
        lambda d: d["schema"][0]["quality"].append(
            {
                "name": "fees_are_whole",
                "type": "sql",
                "query": "select count(*) from {object} where fee <> round(fee)",
                "mustBe": 0,
            }
        ),
        "rule added",
    ),
    _case(
        "a rule is given up",
        LOANS,
        lambda d: d["schema"][0]["quality"].remove(rule(d, "lost_books_cost_something")),
        "rule dropped",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "a rule only warns from now on",
        LOANS,
        lambda d: rule(d, "lost_books_cost_something").update(severity="warning"),
        "rule only warns",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "a rule checks something else",
        LOANS,
        lambda d: rule(d, "lost_books_cost_something").update(
            query="select count(*) from {object} where state = 'lost' and fee < 1"
        ),
        "rule changed",
    ),
    # promises about time
    _case(
        "rows may be older",
        BY_DAY,
        lambda d: level(d, "freshness", value=48),
        "freshness loosened",
        READERS,
        {"lending_board", "lending-days", "analyst"},
    ),
    _case(
        "rows come earlier",
        BY_DAY,
        lambda d: level(d, "freshness", value=12),
        "freshness tightened",
    ),
    _case(
        "a promise that went without saying is loosened",
        LOANS,
        lambda d: level(d, "freshness", value=9, unit="h", element="stg_loans.loaded_at"),
        "freshness loosened",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "the warning about old rows comes later",
        LOANS,
        lambda d: custom(d, "freshnessWarnAfter", "3 h"),
        "warn level changed",
    ),
    _case(
        "rows are kept for less time",
        LOANS,
        lambda d: level(d, "retention", value=1),
        "retention shortened",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "rows are kept longer",
        LOANS,
        lambda d: level(d, "retention", value=10),
        "retention lengthened",
    ),
    _case(
        "rows may come in later",
        LOANS,
        lambda d: level(d, "latency", value=2, unit="h"),
        "service level loosened",
        READERS,
        ALL_OF_LOANS,
    ),
    # who may see what, and who answers
    _case(
        "a column turns out to be personal",
        LOANS,
        lambda d: column(d, "reader_id").update(classification="pii"),
        "classification tightened",
        READERS,
        FEATURES | OWN_ROLES,
    ),
    _case(
        "a column is personal no longer",
        "staging.readers",
        lambda d: column(d, "name").pop("classification"),
        "classification loosened",
    ),
    _case(
        "a role loses its right to read",
        LOANS,
        lambda d: d["roles"].pop(1),
        "role removed",
        {ROLES},
        {"ml_engineer"},
    ),
    _case(
        "a role may only read",
        LOANS,
        lambda d: d["roles"][0].update(access="read"),
        "role narrowed",
        {ROLES},
        {"data_engineer"},
    ),
    _case(
        "a role is added",
        LOANS,
        lambda d: d["roles"].append({"role": "auditor", "access": "read"}),
        "role added",
    ),
    _case(
        "another team answers for it",
        LOANS,
        lambda d: d["team"].update(name="desk"),
        "owner changed",
    ),
    # the table
    _case(
        "a row stands for the same in other words",
        LOANS,
        lambda d: d["schema"][0].update(dataGranularityDescription="A row is a loan."),
        "grain reworded",
    ),
    _case(
        "the table gets another name",
        LOANS,
        lambda d: d["schema"][0].update(physicalName="all_loans"),
        "contract moved",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "the table moves to another server",
        LOANS,
        lambda d: d["servers"][0].update(database="ARCHIVE"),
        "server moved",
        EVERYBODY - {MODELS},
        ALL_OF_LOANS - {"marts.loans_by_day"} | {LOANS},
    ),
    _case(
        "the contract is deprecated",
        LOANS,
        lambda d: (d.update(status="deprecated"), level(d, "endOfLife", value="2026-12-31")),
        "deprecated",
    ),
    _case(
        "the contract is retired",
        LOANS,
        lambda d: d.update(status="retired"),
        "retired",
        READERS,
        ALL_OF_LOANS,
    ),
    _case(
        "the contract is a draft again",
        LOANS,
        lambda d: d.update(status="draft"),
        "promise withdrawn",
        READERS,
        ALL_OF_LOANS,
    ),
    _case("the version is raised", LOANS, lambda d: d.update(version="1.1.0"), "version raised"),
    # raw tables, which others write
    _case(
        "a raw column is dropped",
        RAW,
        lambda d: drop(d, "lent_at"),
        "column dropped",
        READERS,
        ALL_OF_LOANS | {LOANS, "loan-slips"},
    ),
    _case(
        "a raw column comes that every row must have",
        RAW,
        lambda d: add(d, "branch", required=True),
        "required column added",
        {PRODUCERS},
        {"loan-slips"},
    ),
    # topics: both those who send and those who read
    _case(
        "a field comes that every message must have",
        SLIPS,
        lambda d: add(d, "branch", required=True),
        "required column added",
        {PRODUCERS},
        {"loan-slips"},
    ),
    _case(
        "an optional field comes",
        SLIPS,
        lambda d: add(d, "branch"),
        "column added",
    ),
    _case(
        "a field of a message is dropped",
        SLIPS,
        lambda d: drop(d, "note"),
        "column dropped",
        READERS,
        ALL_OF_LOANS | {LOANS, "loan-slips"},
    ),
    _case(
        "a field inside a field is renamed",
        SLIPS,
        lambda d: column(d, "place")["properties"][0].update(name="house"),
        "column renamed",
        EVERYBODY,
        {"loan-slips"},
    ),
    _case(
        "messages are keyed by something else",
        SLIPS,
        lambda d: custom(d, "key", "slip_id"),
        "topic key changed",
        {TOPICS, PRODUCERS},
        {"loan-slips"},
    ),
    _case(
        "a topic gets more partitions",
        SLIPS,
        lambda d: custom(d, "partitions", 8),
        "topic partitions changed",
        {TOPICS},
        {"loan-slips"},
    ),
    _case(
        "messages land in another table",
        SLIPS,
        lambda d: custom(d, "landsIn", "old_loans"),
        "topic lands elsewhere",
        READERS - {TOPICS},
        (ALL_OF_LOANS | {LOANS}) - {"lending-days"},
    ),
]
