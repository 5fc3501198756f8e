"""The command line `waypoint`: one module for each command or family of commands.

A command is a plain function with Typer's annotations, named in the table of `app.py`; its
module is imported only when the command or the list of commands is asked for. So that
`waypoint --help` stays fast, these modules import what is heavy (DuckDB, Arrow, dbt, servers)
within their functions.

A command gets what all commands share by `invocation(context)` (invocation.py), writes what it
was asked for to stdout and everything else to stderr (output.py), and raises `WaypointError` for
whatever a person can act on, or `typer.Exit(Exit.FOUND_FAILURES)` after having said what failed.
"""
