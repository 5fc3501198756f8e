"""What is computed of rows that were erased: built again from what is left, and published."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from waypoint.contracts.model import Contracts
from waypoint.contracts.person_keys import person_keys
from waypoint.errors import WaypointError
from waypoint.privacy.compacting import write_anew
from waypoint.project import Project
from waypoint.warehouse import EMBEDDED


class NotErased(WaypointError):
    """Something of the person is still there; the erasure is to be run again."""


def rebuild(
    project: Project, touched: Iterable[str], report: Callable[[str], None]
) -> tuple[int, tuple[str, ...]]:
    """Build what is made of the touched tables, and publish; how many nodes, and which copies.

    Raises:
        NotErased: a table could not be built, or broke its contract.
    """
    from waypoint.building import build, last_build, remember

    selected = selection(project.contracts, touched)
    embedded = project.target == EMBEDDED
    if not selected or (embedded and not project.warehouse_file.exists()):
        return 0, ()
    report("building what is computed of it")
    before = last_build(project)
    built = build(project, full_refresh=True, arguments=selected)
    if built.failures:
        raise NotErased(
            f"{len(built.failures)} of the tables and tests that were built again failed, so"
            " readers still have the old copies",
            hint="mend what fails (waypoint build), and run the same command again",
        )
    if before is not None and not before.failures and not before.partial:
        remember(project, before)
    if not embedded:
        return len(built.nodes), ()
    report("writing the warehouse anew")
    write_anew(project.warehouse_file)
    return len(built.nodes), _publish(project, report)


def selection(contracts: Contracts, touched: Iterable[str]) -> list[str]:
    """dbt's arguments: the children of what was touched, but what still has its own rows.

    None where nothing under contract was touched.

    Tables on the way that have keys of people lost the person's rows already, and may be all
    that is left of raw rows past their retention.
    """
    selected, kept = [], []
    for table in touched:
        contract = contracts.get(table)
        if contract is None:
            continue
        source = contract.dbt_source
        name = f"source:{source}.{contract.name}" if source else contract.family
        selected.append(f"{name}+")
    for contract in contracts.in_schema("staging"):
        if person_keys(contract):
            kept.append(contract.family)
    if not selected:
        return []
    kinds = ["resource_type:snapshot", "resource_type:seed"]
    return ["--select", *selected, "--exclude", *kinds, *kept]


def _publish(project: Project, report: Callable[[str], None]) -> tuple[str, ...]:
    from waypoint.publishing import publish

    if not project.published_file.exists():
        return ()
    report("publishing")
    published = publish(project, force=True)
    paths = (published.path, *published.copies.values())
    if project.page_file.exists() and project.pages_dir.is_dir():
        _render_page(project)
    return tuple(path.relative_to(project.state).as_posix() for path in paths)


def _render_page(project: Project) -> None:
    from waypoint.pages import render_page
    from waypoint.status import read_status

    status = read_status(project)
    catalogue = project.page_file.with_name("catalogue.html")
    lineage = project.lineage_file
    render_page(
        project.published_file,
        project.pages_dir,
        status.tables,
        project.page_file,
        status.as_of,
        catalogue=catalogue if catalogue.exists() else None,
        lineage=lineage if lineage.exists() else None,
    )
