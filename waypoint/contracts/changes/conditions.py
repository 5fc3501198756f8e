"""The four conditions under which a breaking change may go in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from waypoint.contracts.changes.notices import FOLDER, Notice
from waypoint.contracts.changes.pairing import Event
from waypoint.contracts.changes.transition import Transition, is_over
from waypoint.contracts.model import Contract
from waypoint.contracts.nodes import find_nodes
from waypoint.contracts.rendering import derived_files
from waypoint.errors import WaypointError

ADR_FOLDER = Path("docs") / "adr"


@dataclass(frozen=True)
class Condition:
    """One of the four: whether it is met, what was found, and what to do where it is not."""

    name: str
    met: bool
    found: str
    do: str = ""


def decision(transition: Transition) -> Condition:
    """An ADR that names the contract and the version."""
    contract, major = transition.old.family_name, transition.major
    for path in sorted((transition.site.root / ADR_FOLDER).glob("*.md")):
        text = path.read_text("utf-8", errors="replace")
        if _names(text, contract) and _names_version(text, major):
            return Condition("decision", True, f"{transition.short(path)} says why")
    wanted = f"{contract} and version {transition.version}"
    return Condition(
        "decision",
        False,
        f"no file of {ADR_FOLDER} names {wanted}",
        f"write {ADR_FOLDER}/<number>-<title>.md that names {wanted}, and says why it has to break",
    )


def _names(text: str, contract: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(contract)}(?!\w)", text) is not None


def _names_version(text: str, major: int) -> bool:
    said = rf"(?<![\w.])({major}\.\d+\.\d+|v{major}|version {major})(?!\w)"
    return re.search(said, text, re.I) is not None


def notification(transition: Transition) -> Condition:
    """A notice on record that says that every computed consumer was told."""
    met, found, do = _notification(transition)
    return Condition("notification", met, found, do)


def _notification(transition: Transition) -> tuple[bool, str, str]:
    site, notice = transition.site, transition.notice
    contract = transition.old.family_name
    send = f"waypoint contracts notify {contract} --base {site.base.reference}"
    if not site.consumers_known and site.project is not None:
        compiled = "run `dbt compile`, or pass --manifest"
        return False, "who consumes it is not known without a compiled manifest", compiled
    if notice is None:
        if site.consumers_known and not transition.to_be_told:
            return True, "nobody is known to consume it", ""
        return False, f"no notice on record ({FOLDER / transition.notice_path.name})", send
    path = transition.short(transition.notice_path)
    if notice.contract != contract or notice.version.split(".")[0] != str(transition.major):
        about = f"{path} is about {notice.contract} {notice.version}"
        return False, about, f"remove it, then: {send}"
    missing = notice.missing(transition.to_be_told)
    if missing:
        names = ", ".join(consumer.label or consumer.name for consumer in missing)
        return False, f"{path} does not say that these were told: {names}", send
    if not notice.told:
        return False, f"{path} names nobody who was told", send
    return True, f"{_told(notice)}: {path}", ""


def _told(notice: Notice) -> str:
    told = len({(one.kind, one.name) for one in notice.told})
    return f"{told} consumer{' was' if told == 1 else 's were'} told by {notice.complete_on}"


def side_by_side(transition: Transition) -> Condition:
    """Both versions built, under names of their own, with a view on the older one."""
    met, found, do = _side_by_side(transition)
    return Condition("side by side", met, found, do)


def _side_by_side(transition: Transition) -> tuple[bool, str, str]:
    old, new, standing = transition.old, transition.new, transition.standing
    if transition.step.event is Event.REMOVED:
        back = f"put {old.path.name} and its model back"
        if is_over(old, transition.site.removal_day(old)):
            return True, "it was built until its end", ""
        return False, f"version {old.version} is built no more", back
    if new is None or standing is None:
        there = standing or transition.step.written.contract
        found = f"only version {there.version} of {old.family_name} is there"
        return False, found, _how_to_build_both(transition)
    if not transition.is_built_here:
        return True, f"{standing.name} and {new.name} are both under contract", ""
    problem = _not_built(transition, standing, new)
    if problem:
        return False, problem, "then run `waypoint contracts render`"
    stable = min(written.contract.major for written in transition.versions)
    leads = f"{old.family} leads to version {stable}"
    return True, f"{standing.name} and {new.name} are both built, and {leads}", ""


def _how_to_build_both(transition: Transition) -> str:
    old, next_major = transition.old, transition.old.major + 1
    if not transition.is_built_here:
        return f"keep {old.name} coming in as it was until its end"
    return (
        f"build both: {old.family}_v{old.major}.sql as it was and {old.family}_v{next_major}.sql as"
        " it will be, then run `waypoint contracts render`"
    )


def _not_built(transition: Transition, old: Contract, new: Contract) -> str:
    """Why not both are built by the dbt project; empty where they are, or there is none."""
    project = transition.site.project
    if project is None:
        return ""
    nodes = find_nodes(project)
    for contract in (old, new):
        if contract.name not in nodes:
            return f"no model builds version {contract.version}: add {contract.name}.sql"
    try:
        derived = derived_files(project)
    except WaypointError as error:
        return f"{error} ({error.hint})" if error.hint else str(error)
    for contract in (old, new):
        node = nodes[contract.name]
        name = contract.family if node.kind == "models" else contract.name
        path = node.path.with_name(f"{name}.yml")
        if not path.exists() or path.read_text() != derived.get(path):
            return f"{transition.short(path)} does not say what the contracts say"
    return ""
