"""`waypoint build`: dbt's models and the tests of their contracts, on the loaded warehouse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress as Display

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, progress
from waypoint.errors import Exit

if TYPE_CHECKING:
    from waypoint.build_results import Built
    from waypoint.dbt_running import Progress


def build(
    context: typer.Context,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild incremental models from scratch.")
    ] = False,
    with_unit_tests: Annotated[
        bool, typer.Option("--with-unit-tests", help="Run the models' unit tests, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was built as JSON.")] = False,
) -> None:
    """Build staging, marts and features from raw, and test every table's contract.

    Runs dbt with the project's profile; what stands after -- is handed to dbt as it is.

    \b
    Examples:
      waypoint build
      waypoint build --full-refresh
      waypoint build -- --select path:models/marts --threads 2
    """
    from waypoint.building import build as run_build
    from waypoint.locking import changing_state

    shared = invocation(context)
    with (
        changing_state(shared.project, "waypoint build"),
        progress(shared.quiet) as display,
    ):
        built = run_build(
            shared.project,
            full_refresh=full_refresh,
            with_unit_tests=with_unit_tests,
            arguments=context.args,
            watch=watched(display),
        )
    if as_json:
        print_json(built_document(built))
    else:
        print_built(built, answer())
    if built.failures:
        raise typer.Exit(Exit.FOUND_FAILURES)


build.context_settings = {"allow_extra_args": True}  # type: ignore[attr-defined]


def watched(display: Display, description: str = "build") -> Callable[[Progress], None]:
    """What shows a build's progress as a bar of `display`."""
    bar = display.add_task(description, total=None, detail="")

    def watch(progress: Progress) -> None:
        failed = f", {progress.failed} failed" if progress.failed else ""
        detail = f"{progress.done}/{progress.total}{failed}  {progress.node}"
        display.update(
            bar,
            total=progress.total or None,
            completed=progress.done,
            detail=detail if progress.total else progress.node,
        )

    return watch


def print_built(built: Built, console: Console) -> None:
    """What was built, and what failed, for people."""
    counts = ", ".join(
        f"{number} {_words(kind, number)}" for kind, number in built.counts().items()
    )
    console.print(f"built {counts or 'nothing'} in {built.seconds:.1f} s", markup=False)
    for problem in built.problems():
        console.print(problem, markup=False)
    if built.skipped:
        console.print(f"{len(built.skipped)} more were left out because of that", markup=False)
    for remark in built.remarks:
        console.print(f"! {remark}", markup=False)


def built_document(built: Built) -> dict[str, Any]:
    """What was built, for programs."""
    return {
        "succeeded": not built.failures,
        "seconds": round(built.seconds, 3),
        "counts": built.counts(),
        "broken_rules": [asdict(rule) for rule in built.broken_rules],
        "failures": [asdict(node) for node in built.failures],
        "skipped": [node.name for node in built.skipped],
        "remarks": list(built.remarks),
    }


def _words(kind: str, number: int) -> str:
    return f"{kind.replace('_', ' ')}{'' if number == 1 else 's'}"
