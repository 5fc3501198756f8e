"""What a run of mutation found, as JSON and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from waypoint.contracts.mutation.model import MutationReport, Score


def document(report: MutationReport) -> dict[str, Any]:
    """The report as JSON's values; shares are between 0 and 1, None where nothing was damaged."""
    return {
        "mutants": report.mutants,
        "killed": report.killed,
        "score": _rounded(report.share),
        "survivors": [asdict(survivor) for survivor in report.survivors],
        "contracts": [_contract(score) for score in report.scores],
    }


def _contract(score: Score) -> Mapping[str, Any]:
    said: dict[str, Any] = {
        "contract": score.contract,
        "mutants": score.mutants,
        "killed": score.killed,
        "score": _rounded(score.share),
        "killed_by_warning": score.by_warning,
        "equivalent": score.equivalent,
        "not_run": score.not_run,
        "survivors": len(score.survivors),
    }
    if score.left_out:
        said["left_out"] = score.left_out
    return said


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def percent(share: float | None) -> str:
    """A share for people, rounded down: nothing but all is 100 %."""
    return "-" if share is None else f"{int(share * 1000) / 10:.1f} %"


def print_report(report: MutationReport, console: Console) -> None:
    """Survivors first, as they are what there is to do; then each contract's score."""
    for survivor in report.survivors:
        place = f"{survivor.contract}.{survivor.column}" if survivor.column else survivor.contract
        console.print(f"survived: {place}: {survivor.operator}: {survivor.detail}", markup=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("contract")
    for heading in ("mutants", "killed", "score", "by warning", "equivalent", "not run"):
        table.add_column(heading, justify="right")
    for score in sorted(report.scores, key=lambda s: (s.share is None, s.share or 0, s.contract)):
        if score.left_out:
            continue
        numbers = (score.by_warning, score.equivalent, score.not_run)
        shown = (str(score.mutants), str(score.killed), percent(score.share), *map(str, numbers))
        table.add_row(score.contract, *shown)
    if table.row_count:
        console.print(table)
    for score in report.scores:
        if score.left_out:
            console.print(f"left out: {score.contract}: {score.left_out}", markup=False)
    console.print(
        f"{report.killed} of {report.mutants} mutants killed: {percent(report.share)}", markup=False
    )
