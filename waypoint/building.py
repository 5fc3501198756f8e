"""Building: models, seeds, snapshots and the tests of their contracts, by dbt."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from waypoint.build_results import UNIT_TEST, Built, read_results
from waypoint.dbt_running import DbtFailed, Progress, run_dbt, target_dir
from waypoint.project import Project

_SELECTING = ("-s", "-m", "--select", "--models", "--exclude", "--selector", "--resource-type")


@dataclass(frozen=True)
class LastBuild:
    """What is remembered of the last build that ran to its end."""

    failures: int
    partial: bool  # only some nodes were selected


def build(
    project: Project,
    *,
    full_refresh: bool = False,
    with_unit_tests: bool = False,
    arguments: Sequence[str] = (),
    watch: Callable[[Progress], None] = lambda _progress: None,
) -> Built:
    """Run `dbt build`: models, seeds, snapshots and the tests of their contracts.

    `arguments` are passed to dbt as they are. Failing nodes are in the result, not raised.

    Raises:
        DbtFailed: the project does not compile, or dbt broke.
        Unavailable: another process holds the warehouse.
    """
    _marker(project).unlink(missing_ok=True)
    command = ["build", *arguments]
    if full_refresh:
        command.append("--full-refresh")
    if not with_unit_tests and not any("resource-type" in given for given in arguments):
        command += ["--exclude-resource-type", UNIT_TEST]
    start = time.monotonic()
    with _telling_of_broken_builds(project):
        run_dbt(project, command, watch)
    built = read_results(project, time.monotonic() - start)
    built = replace(built, remarks=_emit_lineage(project, built))
    partial = any(given.split("=")[0] in _SELECTING for given in arguments)
    remember(project, LastBuild(failures=len(built.failures), partial=partial))
    return built


@contextmanager
def _telling_of_broken_builds(project: Project) -> Iterator[None]:
    """Emit that dbt ended without results, where lineage events are configured."""
    began = datetime.now(UTC)
    try:
        yield
    except DbtFailed:
        from waypoint.lineage.emitting import emit_broken_build, is_configured

        if is_configured(os.environ, project.root):
            emit_broken_build(project, began)
        raise


def _emit_lineage(project: Project, built: Built) -> tuple[str, ...]:
    """Emit what was built as OpenLineage events, where that is configured; says what failed."""
    from waypoint.lineage.emitting import emit_after_build, is_configured

    if not is_configured(os.environ, project.root):
        return ()
    problem = emit_after_build(project, target_dir(project), built.broken_rules)
    return (problem,) if problem else ()


def last_build(project: Project) -> LastBuild | None:
    """The last build, or None where none ran to its end."""
    try:
        return LastBuild(**json.loads(_marker(project).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _marker(project: Project) -> Path:
    return project.state / "build.json"


def remember(project: Project, build: LastBuild) -> None:
    """Keep what is to be known of the last build."""
    _marker(project).write_text(json.dumps(asdict(build)) + "\n", encoding="utf-8")
