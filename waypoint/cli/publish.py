"""`waypoint publish`: put the built warehouse where readers look."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json


def publish(
    context: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even after a failed or partial build.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What was published as JSON.")] = False,
) -> None:
    """Copy the built warehouse to where readers open it, in one step.

    Readers never see half a copy, and those who read go on reading the one that they have open.
    Only a whole build without failures is published, unless forced. Beside the copy stand those
    that are cut to what a role may see (dbt_project/roles.yml).

    \b
    Examples:
      waypoint publish
      waypoint publish --force      publish what a failed build left, to look at it
    """
    from waypoint.locking import changing_state
    from waypoint.publishing import publish as run_publish

    project = invocation(context).project
    with changing_state(project, "waypoint publish"):
        published = run_publish(project, force=force)
    if as_json:
        print_json(asdict(published))
    else:
        answer().print(
            f"published {published.size / 1e6:,.1f} MB in {published.seconds:.1f} s: "
            f"{published.path}",
            markup=False,
        )
        for role, path in published.copies.items():
            answer().print(f"copy for {role}: {path}", markup=False)
