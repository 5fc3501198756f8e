"""Exit codes, errors and help: what a person meets first."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import click
import pytest
import typer
from click.testing import CliRunner
from typer.core import TyperGroup

from waypoint.cli import app, failures
from waypoint.errors import Exit

WIDE = {"COLUMNS": "120", "TERM": "dumb"}
ROOT = typer.main.get_command(app.application)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A command and, where it is a family, all that belong to it."""
    yield path, command
    if isinstance(command, TyperGroup):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


ALL = dict(commands(ROOT))


@pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "waypoint")
def test_help_of_every_command_ends_well_and_gives_an_example(path):
    helped = CliRunner().invoke(ROOT, [*path, "--help"], prog_name="waypoint", env=WIDE)

    assert helped.exit_code == 0, helped.output
    assert "Usage: waypoint" in helped.output
    if not isinstance(ALL[path], TyperGroup):
        said = helped.output.split("Usage", 1)[1].split("\n", 1)[1]
        assert f"waypoint {' '.join(path)}" in said


def test_help_of_a_process_of_its_own_lists_every_command(command_line):
    ended = command_line.waypoint("--help", **WIDE)

    assert ended.code == 0, ended.err
    assert all(name in ended.out for name in app.COMMANDS)


def test_help_documents_the_exit_codes(command_line):
    ended = command_line.waypoint("--help", COLUMNS="200", TERM="dumb")

    assert "Exit codes" in ended.out
    for code in Exit:
        assert str(int(code)) in ended.out.split("Exit codes", 1)[1]


def test_help_does_not_load_what_is_heavy():
    heavy = "{'duckdb', 'pyarrow', 'dbt', 'altair', 'psycopg', 'httpx'}"
    script = (
        "import sys; from waypoint.cli.app import run_command; run_command(['--help']);"
        f"sys.exit(','.join({heavy} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert ended.stderr.strip() == ""


def test_a_misspelt_command_is_answered_with_the_right_one(command_line):
    ended = command_line.waypoint("stauts")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "status" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["query", "select 1"], ["build"], ["publish"], ["run"], ["contracts", "render"]],
    ids=" ".join,
)
def test_outside_a_project_every_command_says_so(arguments, command_line):
    ended = command_line.waypoint(*arguments)

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "no dbt_project.yml" in ended.err
    assert "hint:" in ended.err
    assert "Traceback" not in ended.err


def test_a_project_folder_that_is_not_there_is_named(command_line):
    ended = command_line.waypoint("--project-dir", "nowhere", "status")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "nowhere" in ended.err


def test_commands_act_on_the_project_that_they_are_pointed_at(tiny_project, command_line):
    ended = command_line.waypoint(
        "--project-dir", tiny_project.root, "contracts", "render", "--check"
    )

    assert ended.code == 0, ended.err


def test_before_the_first_run_status_says_what_to_do(tiny_project):
    ended = tiny_project.waypoint("status", "--json")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "nothing is published yet" in ended.err
    assert "waypoint run" in ended.err
    assert ended.out == ""


def test_a_broken_contract_is_named_with_its_file(tiny_project):
    contract = tiny_project.root / "contracts" / "raw" / "members.yaml"
    contract.write_text(contract.read_text().replace("        logicalType: date\n", "", 1))

    ended = tiny_project.waypoint("contracts", "render")

    assert ended.code == Exit.UNUSABLE_INPUT
    assert "members.yaml" in ended.err
    assert "logicalType" in ended.err


def test_a_stale_derived_file_fails_the_check_and_is_named(tiny_project):
    derived = tiny_project.root / "models" / "marts" / "lendings_by_day.yml"
    derived.write_text(derived.read_text() + "# edited\n")

    ended = tiny_project.waypoint("contracts", "render", "--check")

    assert ended.code == Exit.FOUND_FAILURES
    assert "lendings_by_day.yml" in ended.err


def test_an_unexpected_error_is_one_line_and_a_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SHOP_API_KEY", "sk_live_very_secret")
    try:
        raise ZeroDivisionError("refused sk_live_very_secret at postgres://me:hunter2@db/x")
    except ZeroDivisionError as error:
        failures.show_unexpected(error, tmp_path / "logs")

    said = capsys.readouterr().err
    (log,) = (tmp_path / "logs").iterdir()
    assert str(log) in said
    assert "ZeroDivisionError" in said
    assert "Traceback" not in said
    assert "Traceback" in log.read_text()
    for secret in ("sk_live_very_secret", "hunter2"):
        assert secret not in said
        assert secret not in log.read_text()


def test_a_reader_that_goes_away_is_no_failure(tiny_project):
    pipeline = f"{sys.executable} -m waypoint.cli.app --help; {sys.executable} -m waypoint.cli.app"
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; ({pipeline} build --help) | true"],
        cwd=tiny_project.root,
        capture_output=True,
        text=True,
    )

    assert ended.stderr.strip() == ""


def test_ctrl_c_ends_a_build_in_order(tiny_project):
    process = tiny_project.started("build")
    lock = tiny_project.state / "run.lock"
    _wait_until(lambda: lock.exists() and lock.read_text().startswith("waypoint build"))
    time.sleep(1)

    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)

    assert process.returncode == Exit.INTERRUPTED
    assert "Traceback" not in err
    assert tiny_project.waypoint("build", "-h").code == 0


def _wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
