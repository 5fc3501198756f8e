"""`waypoint snowflake setup`: its statements held against Snowflake's syntax, and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sqlglot
from conftest import Library
from sqlglot import exp

from waypoint.cli.app import run_command
from waypoint.errors import Unavailable, UnusableInput
from waypoint.project import Project
from waypoint.snowflake.compiling import queries_of_models
from waypoint.snowflake.rehearsal.standin import serving
from waypoint.snowflake.setup.running import apply
from waypoint.snowflake.setup.settings import read_settings
from waypoint.snowflake.setup.statements import plan

pytest.importorskip("dbt.adapters.snowflake")
pytest.importorskip("fakesnow")

#: dbt in this process takes long where many share its machine.
pytestmark = pytest.mark.timeout(900)

HERE = Path(__file__).parent
GOLDEN = HERE / "setup_of_the_library.sql"
THIS_PROJECT = HERE.parents[2]

_NAME = r'(?:"\w+"|\w+)(?:\.(?:"\w+"|\w+)){0,2}'
_TRIGGERS = r"(?: triggers(?: on \d+ percent do (?:notify|suspend_immediate|suspend))+)?"
_SIZE = r"warehouse_size = \w+"
_WAREHOUSE = (
    rf"{_SIZE} auto_suspend = \d+ auto_resume = true statement_timeout_in_seconds = \d+"
    rf"(?: resource_monitor = {_NAME})?"
)
#: What sqlglot has no grammar for, by Snowflake's reference of each command. Those marked with a
#: query have it checked on its own.
SYNTAX = [
    rf"create resource monitor if not exists {_NAME} with credit_quota = \d+"
    rf" frequency = (?:daily|weekly|monthly|yearly|never) start_timestamp = immediately{_TRIGGERS}",
    rf"alter resource monitor {_NAME} set credit_quota = \d+{_TRIGGERS}",
    rf"create warehouse if not exists {_NAME} with {_WAREHOUSE} initially_suspended = true",
    rf"alter warehouse {_NAME} set {_WAREHOUSE}",
    rf"alter database {_NAME} set data_retention_time_in_days = \d+",
    rf"create role if not exists {_NAME}(?: comment = '[^']*')?",
    rf"grant role {_NAME} to role {_NAME}",
    rf"grant (?:usage|usage, create schema|all privileges|select) on"
    rf" (?:warehouse|database|schema|all tables in schema) {_NAME} to role {_NAME}",
    rf"create pipe if not exists {_NAME} as (?P<query>copy into .*)",
    rf"create or replace dynamic table {_NAME} target_lag = (?:'\d+ \w+'|downstream)"
    rf" warehouse = {_NAME} refresh_mode = auto initialize = on_create as\n(?P<query>.*)",
    rf"create file format if not exists {_NAME} type = parquet use_logical_type = true",
    rf"create stage if not exists {_NAME}",
]

#: Of these the parser takes more than Snowflake does.
OWN_SYNTAX = re.compile(
    r"(create|alter) (or replace )?(resource monitor|warehouse|role|pipe|dynamic table)|grant"
)


@pytest.fixture(scope="module")
def statements(project: Project) -> list[str]:
    return plan(project, read_settings(project), lambda: queries_of_models(project))


def problem(statement: str) -> str:
    """What of a statement is not Snowflake's syntax; nothing where all of it is."""
    for pattern in SYNTAX:
        match = re.fullmatch(pattern, statement, re.DOTALL)
        if match:
            query = match.groupdict().get("query")
            return problem(query) if query else ""
    if OWN_SYNTAX.match(statement):
        return "not as Snowflake's reference has it"
    try:
        parsed = sqlglot.parse(statement, read="snowflake")
    except sqlglot.ParseError as error:
        return str(error)
    if len(parsed) != 1 or isinstance(parsed[0], exp.Command):
        return "no statement that is known"
    return ""


def test_the_statements_are_those_that_were_reviewed(statements: list[str]) -> None:
    text = "".join(f"{statement};\n" for statement in statements)
    assert text == GOLDEN.read_text(), "look at the difference, and write it into the golden file"


def test_every_statement_is_read_whole(statements: list[str]) -> None:
    assert {s: problem(s) for s in statements if problem(s)} == {}


@pytest.mark.parametrize(
    "wrong",
    [
        "create warehouse if not exists W with warehouse_size = small auto_suspend = soon",
        "create resource monitor if not exists M with credit_quota = 5 triggers on 80 do notify",
        "create dynamic table T target_lag = '1 minute' as\nselect 1",
        "create pipe if not exists P as copy into",
        "grant everything on database D to role R",
        "create or replace dynamic table T target_lag = '1 minute' warehouse = W"
        " refresh_mode = auto initialize = on_create as\nselect from where",
    ],
)
def test_a_statement_that_is_wrong_is_not_read(wrong: str) -> None:
    assert problem(wrong)


def test_what_can_run_on_the_stand_in_is_run_twice(statements: list[str], tmp_path: Path) -> None:
    import snowflake.connector as connector

    # these are objects that the stand-in has not
    missing = re.compile(
        r"(create|alter) (resource monitor|warehouse)|alter database|(create|grant) role"
        r"|create role|create pipe|.* clone |create transient database"
        r"|grant .* on (all tables in )?(schema|database) LIBRARY_CI"
    )
    runs = [
        one.replace("create or replace dynamic table", "create or replace table")
        .replace(" data_retention_time_in_days = 3", "")
        for one in statements
        if not missing.match(one)
    ]  # fmt: skip
    runs = [re.sub(r" target_lag = .* on_create as", " as", one) for one in runs]
    assert len(runs) > 20
    with serving(tmp_path) as account, connector.connect(**account.connector) as connection:
        cursor = connection.cursor()
        # tables that a load and a build make
        for name in ("MEMBERS", "LOAD_HISTORY", "QUARANTINE"):
            runs = [one for one in runs if f".{name} cluster" not in one]
        runs = [one for one in runs if "STG_LENDINGS cluster" not in one]
        before = [one for one in runs if "as\n" not in one]
        assert apply(cursor, before, connector.errors.Error) == len(before)
        cursor.execute(
            "create table if not exists LIBRARY.RAW.MEMBERS"
            " (card varchar, name varchar, _line bigint, _loaded_at timestamp_ntz)"
        )
        for _ in range(2):
            assert apply(cursor, runs, connector.errors.Error) == len(runs)
        (tables,) = cursor.execute(
            "select count(*) from LIBRARY.information_schema.tables where table_schema = 'REALTIME'"
        ).fetchall()
        assert tables == (2,)


def test_a_failing_statement_is_named_and_ends_it(tmp_path: Path) -> None:
    class Refused(Exception):
        pass

    ran: list[str] = []

    class Cursor:
        def execute(self, statement: str) -> None:
            if "NOT_MINE" in statement:
                raise Refused("insufficient privileges")
            ran.append(statement)

    with pytest.raises(Unavailable, match=r"statement 2 of 3 .*NOT_MINE.*insufficient privileges"):
        apply(Cursor(), ["create role A", "create role NOT_MINE", "create role B"], Refused)
    assert ran == ["create role A"]


def test_one_environment_alone_leaves_the_account_s_own_objects_out(project: Project) -> None:
    made = plan(project, read_settings(project), lambda: ({}, ""), "ci")
    assert all("LIBRARY_CI" in statement for statement in made)
    assert "create schema if not exists LIBRARY_CI.RAW clone LIBRARY.RAW" in made
    with pytest.raises(UnusableInput, match="no environment 'qa'"):
        plan(project, read_settings(project), lambda: ({}, ""), "qa")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("credits: 5", "credits: five", "line 4: credits is no whole number"),
        ("monitor: LENDING", "monitor: NOBODY", "line 7: 'NOBODY' is none of them"),
        ("size: small", "size: tiny", "line 7: 'tiny' is none"),
        ("lag: 2 minutes", "lag: soon", "line 16: 'soon' is no time"),
        ("warehouse: CLOCKWORK", "shed: CLOCKWORK", "line 15: 'shed' is not known"),
        ("raw_from: prod", "raw_from: moon", "line 12: 'moon' is none of them"),
        ("database: LIBRARY,", 'database: "a b",', "line 11: database is no name"),
    ],
)
def test_a_mistake_in_the_settings_is_told_with_its_line(
    library: Library, tmp_path: Path, old: str, new: str, said: str
) -> None:
    folder = tmp_path / "dbt_project"
    folder.mkdir()
    text = (library.root / "dbt_project/snowflake.yml").read_text()
    assert old in text
    (folder / "snowflake.yml").write_text(text.replace(old, new))
    with pytest.raises(UnusableInput, match=re.escape(said)):
        read_settings(Project(tmp_path, tmp_path))


def test_a_real_time_model_that_is_not_there_is_unusable_input(project: Project) -> None:
    with pytest.raises(UnusableInput, match="no model 'lendings_by_day'"):
        plan(project, read_settings(project), lambda: ({"marts.other": "select 1"}, "WAYPOINT"))


def test_the_command_shows_the_plan_and_wants_to_know_what_to_do(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(project.root)
    assert run_command(["--project-dir", root, "snowflake", "setup"]) == 2
    capsys.readouterr()
    command = ["--project-dir", root, "snowflake", "setup", "--plan", "--environment", "ci"]
    assert run_command(command) == 0
    assert capsys.readouterr().out.startswith("create transient database if not exists LIBRARY_CI")


def test_this_project_s_plan_is_read_whole_but_for_its_real_time_models() -> None:
    project = Project(THIS_PROJECT, THIS_PROJECT / "nowhere")
    settings = read_settings(project)
    queries = {f"marts.{model}": "select 1 as one" for model in settings.realtime.models}
    made = plan(project, settings, lambda: (queries, "WAYPOINT"))
    assert {s: problem(s) for s in made if problem(s)} == {}
    # the tables of topics, and the quarantine for what is rejected of them
    assert sum("create pipe" in s for s in made) == 1 + sum(
        bool(topic.custom.get("landsIn")) for topic in project.contracts.topics
    )
    assert sum(" cluster by " in s for s in made) >= 40


@pytest.mark.long
def test_this_project_s_real_time_models_are_there(tmp_path: Path) -> None:
    project = Project(THIS_PROJECT, tmp_path)
    made = plan(project, read_settings(project), lambda: queries_of_models(project))
    assert {s: problem(s) for s in made if problem(s)} == {}
    dynamic = [s for s in made if s.startswith("create or replace dynamic table")]
    assert len(dynamic) > len(read_settings(project).realtime.models)
