"""The command line's entry point: the table of commands, the shared options, and how it ends."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from waypoint.cli import failures
from waypoint.cli.invocation import Invocation
from waypoint.errors import Exit, WaypointError
from waypoint.project import Project

#: Each command, in the order of the data's way, and the function (or Typer group) behind it.
COMMANDS = {
    "run": "waypoint.cli.run:run",
    "simulate": "waypoint.cli.simulate:simulate",
    "sandbox": "waypoint.cli.sandbox:sandbox",
    "fetch": "waypoint.cli.fetch:fetch",
    "gateway": "waypoint.cli.gateway:gateway",
    "live": "waypoint.cli.live:live",
    "poll": "waypoint.cli.poll:poll",
    "extract": "waypoint.cli.ingest:extract",
    "land": "waypoint.cli.ingest:land",
    "load": "waypoint.cli.ingest:load",
    "capture": "waypoint.cli.capture:capture",
    "quarantine": "waypoint.cli.quarantine:quarantine",
    "build": "waypoint.cli.build:build",
    "publish": "waypoint.cli.publish:publish",
    "status": "waypoint.cli.status:status",
    "query": "waypoint.cli.query:query",
    "realtime": "waypoint.cli.realtime:realtime",
    "quality": "waypoint.cli.quality:quality",
    "contracts": "waypoint.cli.contracts:contracts",
    "access": "waypoint.cli.access:access",
    "privacy": "waypoint.cli.privacy:privacy",
    "snowflake": "waypoint.cli.snowflake:snowflake",
    "airflow": "waypoint.cli.airflow:airflow",
    "services": "waypoint.cli.services:services",
    "topics": "waypoint.cli.topics:topics",
    "stream": "waypoint.cli.stream:stream",
    "maintain": "waypoint.cli.maintain:maintain",
    "lineage": "waypoint.cli.lineage:lineage",
}

_EXIT_CODES = """\
Exit codes: 0 done; 1 done, but something in it failed (a test, a source, a rule);
2 wrong usage or configuration, nothing was done; 3 a server, lock or disk was not available,
run it again; 130 interrupted, run it again and it carries on."""

_SETTINGS = {"help_option_names": ["-h", "--help"]}


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are first asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            self.commands[cmd_name] = _command(cmd_name)
        return self.commands[cmd_name]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = get_close_matches(name, COMMANDS)
            meant = f" Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"No such command {name!r}.{meant}")
        return super().resolve_command(ctx, args)


def _command(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    found = getattr(import_module(module), attribute)
    command: Any
    if isinstance(found, typer.Typer):
        command = typer.main.get_group(found)
    else:
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(name, context_settings=_SETTINGS | _extra_settings(found))(found)
        command = typer.main.get_command(alone)
    command.name = name
    return command


def _extra_settings(function: Any) -> dict[str, Any]:
    """What a command's function asks of its parser, e.g. to pass on unknown arguments."""
    return getattr(function, "context_settings", {})


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"waypoint {version('waypoint')}")
        raise typer.Exit()


application = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
    epilog=_EXIT_CODES,
)


@application.callback()
def waypoint(
    context: typer.Context,
    project_dir: Annotated[
        Path | None,
        typer.Option(help="Act on the project in this folder instead of the working directory's."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Which target of profiles.yml to act on.",
            envvar="WAYPOINT_TARGET",
            metavar="NAME",
        ),
    ] = None,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Answers and errors only, no progress."),
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """An analytics warehouse under data contracts, on Snowflake and on a laptop.

    [bold]waypoint run[/] does everything, from the sources to published tables and a page to look
    at; the other commands are its steps. What it makes stands below var/, or where the variable
    WAYPOINT_STATE points.
    """
    context.obj = Invocation(project_dir=project_dir, target=target, quiet=quiet)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with one of the documented exit codes."""
    sys.exit(run_command(sys.argv[1:] if arguments is None else arguments))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code. Usage mistakes, too, are said in full."""
    try:
        command = typer.main.get_command(application)
        command.main(list(arguments), prog_name="waypoint")
    except SystemExit as ending:
        return _flushed(ending.code if isinstance(ending.code, int) else int(bool(ending.code)))
    except WaypointError as error:
        failures.show(error)
        return _flushed(error.exit_code)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        return _reader_went_away()
    except Exception as error:
        failures.show_unexpected(error, _logs())
        return Exit.FOUND_FAILURES
    return _flushed(Exit.OK)


def _flushed(code: int) -> int:
    """Push out what is still buffered, while a reader that went away can be noticed quietly."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_went_away()
    if code == Exit.INTERRUPTED:
        print("waypoint: interrupted; the same command carries on", file=sys.stderr)
    return code


def _reader_went_away() -> int:
    """`waypoint query ... | head` is no failure: nothing is said, at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.OK


def _logs() -> Path:
    try:
        return Project.find().state / "logs"
    except WaypointError:
        return Path(tempfile.gettempdir()) / "waypoint-logs"


if __name__ == "__main__":
    main()
