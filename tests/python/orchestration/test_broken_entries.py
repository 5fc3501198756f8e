"""An entry of sources.yml that cannot be understood fails by itself, and the others go on."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ingestion.sources import declared_sources
from waypoint.project import Project

SOUND = (
    "card_index:\n  kind: files\n  folder: ${LIBRARY_CARD_INDEX}\n  table: members\n"
    "lending_desk:\n  kind: dumps\n  folder: ${LIBRARY_LENDING_DESK}\n"
)
BROKEN = {
    "no YAML": ("till:\n  kind: [files\n", "till: not readable as YAML"),
    "no kind": ("till:\n  folder: ${LIBRARY_TILL}\n", "till: has no kind"),
    "an unknown kind": ("till: {kind: fax}\n", "till: unknown kind 'fax'"),
    "no schedule": ("till: {kind: files, schedule: often}\n", "till: schedule 'often' is none"),
    "tables as a list": ("till: {kind: postgres, tables: [a]}\n", "till: tables is no mapping"),
    "a resource without table": (
        "till: {kind: rest, resources: [{path: /x}]}\n",
        "till: resources is no list of resources, each with a table",
    ),
}


def read(dags):
    return {name: dag for name, dag in dags.items() if name.startswith("ingest_")}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_wrong_with_an_entry_is_told_and_the_others_are_there(tiny_project, what):
    text, words = BROKEN[what]
    path = tiny_project.root / "ingestion" / "sources.yml"
    path.write_text(text + SOUND)

    declared = declared_sources(Project.find(tiny_project.root))

    (broken,) = declared.broken
    assert (broken.name, broken.line) == ("till", 1)
    assert f"{path}, {words}" in broken.problem
    assert [source.name for source in declared.sources] == ["card_index", "lending_desk"]


def test_a_broken_entry_is_one_dag_that_fails_and_the_other_sources_are_read(world):
    from airflow.sdk.exceptions import AirflowFailException

    from waypoint.orchestration.tasks import tell_of_failure

    before = {name: set(dag.task_ids) for name, dag in read(world.dags()).items()}
    world.write("ingestion/sources.yml", SOUND + BROKEN["no YAML"][0])

    with pytest.warns(UserWarning, match=r"sources\.yml, till: not readable as YAML"):
        dags = read(world.dags())

    assert before == {n: set(d.task_ids) for n, d in dags.items() if n != "ingest_till"}
    (entry,) = dags["ingest_till"].tasks
    assert "broken" in dags["ingest_till"].tags
    with pytest.raises(AirflowFailException) as failed:
        entry.execute({"ti": SimpleNamespace(try_number=1)})
    tell_of_failure({"task": entry, "exception": failed.value, "run_id": "by hand"})
    (alert,) = world.alerts()
    assert alert["dag"] == "ingest_till"
    assert "sources.yml, till: not readable as YAML" in alert["rules"][0]
    for other in ("ingest_card_index", "ingest_lending_desk"):
        context = {"ti": SimpleNamespace(try_number=1), "run_id": "by hand"}
        assert dags[other].get_task("land").execute(context) is not None
    assert dags["ingest_lending_desk"].get_task("load").execute({"run_id": "by hand"})


def test_after_the_repair_the_entry_is_read_again(world):
    world.write("ingestion/sources.yml", SOUND.replace("kind: files", "kind: [files"))
    with pytest.warns(UserWarning):
        assert [t.task_id for t in world.dags()["ingest_card_index"].tasks] == ["entry"]

    world.write("ingestion/sources.yml", SOUND)

    dag = world.dags()["ingest_card_index"]
    assert dag.get_task("load").upstream_task_ids == {"land"}


def test_commands_refuse_a_file_with_a_broken_entry(tiny_project):
    path = tiny_project.root / "ingestion" / "sources.yml"
    path.write_text(SOUND + BROKEN["an unknown kind"][0])

    ended = tiny_project.waypoint("land")

    assert ended.code == 2
    assert "till: unknown kind 'fax'" in ended.err


def test_no_simulation_where_the_broken_entry_may_be_the_only_real_source(tiny_project):
    from waypoint.connecting import is_simulated
    from waypoint.errors import UnusableInput

    path = tiny_project.root / "ingestion" / "sources.yml"
    (tiny_project.root / "scenario").mkdir()
    project = Project.find(tiny_project.root)
    path.write_text(SOUND + BROKEN["no YAML"][0])
    with pytest.raises(UnusableInput, match="till: not readable as YAML"):
        is_simulated(project, despite_broken=True)

    # here its variable says that it is not connected
    path.write_text(SOUND + BROKEN["no kind"][0])
    assert is_simulated(project, despite_broken=True)
