"""`waypoint sandbox`: a local server that stands for services of other parties."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, remarks
from waypoint.errors import Unavailable


def sandbox(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Where to listen on 127.0.0.1; 0: any free one.")] = 0,
    as_of: Annotated[
        str | None, typer.Option(help="The time (UTC) of what is said, else the project's.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="What chance comes from.")] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            help="What goes wrong: KIND[:SHARE][@PART-OF-ADDRESS]; kinds are rate-limit, error,"
            " timeout, garbage, cut and partial."
        ),
    ] = None,
) -> None:
    """Serve answers of the same shape as those of the services in ingestion/external.yml.

    Until Ctrl-C. `waypoint fetch` asks it where WAYPOINT_SANDBOX is its address; a simulated state
    starts one by itself. A seed and a time decide every byte.

    \b
    Examples:
      waypoint sandbox --port 8123
      waypoint sandbox --fault rate-limit:0.2 --fault garbage@feeds
      WAYPOINT_SANDBOX=http://127.0.0.1:8123 waypoint fetch --dry-run
    """
    from waypoint.clock import parse_time
    from waypoint.fetching import SANDBOX_VARIABLE
    from waypoint.simulator.sandbox import sandbox_running
    from waypoint.simulator.sandbox.faults import faults_of

    shared = invocation(context)
    faults = faults_of(fault or (), seed or 1)
    time = parse_time(as_of, "--as-of") if as_of else None
    try:
        with sandbox_running(
            shared.project, port=port, as_of=time, seed=seed, faults=faults
        ) as running:
            answer().print(f"export {SANDBOX_VARIABLE}={running.url}", markup=False)
            remarks(shared.quiet).print("serving until Ctrl-C", markup=False)
            threading.Event().wait()
    except OSError as error:
        raise Unavailable(
            f"port {port} cannot be listened on: {error.strerror}",
            hint="choose another --port, or leave it away",
        ) from None
