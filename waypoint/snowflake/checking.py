"""The static gate over a whole project: compile for Snowflake, then judge every statement."""

from __future__ import annotations

from dataclasses import dataclass

from waypoint.project import Project
from waypoint.snowflake.compiling import compiled
from waypoint.snowflake.gate import judge
from waypoint.snowflake.memory import Memory
from waypoint.snowflake.statement import Finding
from waypoint.snowflake.unchanged import LastSound


@dataclass(frozen=True)
class Checked:
    """How many statements were looked at, and what was found in them."""

    statements: int
    findings: tuple[Finding, ...]


def check(project: Project) -> Checked:
    """Judge all SQL that dbt compiles for Snowflake; nothing is connected to.

    A project that was found sound is not compiled again until something of it changes, and of one
    that changed only those statements are judged that read otherwise.

    Raises:
        UnusableInput: the project cannot be compiled, or packages are missing.
    """
    last = LastSound(project)
    sound = last.statements()
    if sound is not None:
        return Checked(sound, ())
    statements = compiled(project)
    memory = Memory(project.state / "snowflake" / "sound.json", project.contracts)
    changed = [one for one in statements if not memory.is_sound(one)]
    found = judge(project.contracts, changed, project.root)
    wrong = {(one.file, one.name) for one in found}
    memory.keep(one for one in statements if (one.file, one.name) not in wrong)
    if found:
        last.forget()
    else:
        last.keep(len(statements))
    return Checked(len(statements), tuple(found))
