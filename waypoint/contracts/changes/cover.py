"""What a breaking change needs before it may go in, and what of it is there.

All four: a decision on record, a migration window, consumers who were told, and both versions built
side by side until the window ends.

The window is counted from the day on which the change goes in: the commit (on the first parent's
line) that brought the new version and the old one's end; today, as long as that is not committed.
Nor does it begin before the last consumer was told.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from waypoint.contracts.changes.affected import Consumer
from waypoint.contracts.changes.history import Base, commits_since, content_at
from waypoint.contracts.changes.model import Written
from waypoint.contracts.changes.notices import FOLDER, Notice, path_of, read_notice
from waypoint.contracts.changes.pairing import Event, Step
from waypoint.contracts.documents import InvalidContract, read_document
from waypoint.contracts.model import RAW, TOPICS, Contract
from waypoint.contracts.reading import contract_of
from waypoint.contracts.rendering import derived_files, find_nodes
from waypoint.errors import WaypointError
from waypoint.project import Project

#: How long the old version is built on, at least.
WINDOW = timedelta(days=14)

ADR_FOLDER = Path("docs") / "adr"


@dataclass(frozen=True)
class Condition:
    """One of the four: whether it is met, what was found, and what to do where it is not."""

    name: str
    met: bool
    found: str
    do: str = ""


@dataclass(frozen=True)
class Cover:
    """What of the four is there for one breaking change."""

    conditions: tuple[Condition, ...]

    @property
    def complete(self) -> bool:
        return all(condition.met for condition in self.conditions)

    @property
    def missing(self) -> list[Condition]:
        return [condition for condition in self.conditions if not condition.met]


@dataclass(frozen=True)
class Site:
    """Where the cover is looked for: the folder above `contracts/`, its history, and the day.

    `consumers_known`: there is lineage to tell who has to be notified. `project` is None where no
    dbt project stands around the contracts.
    """

    root: Path
    base: Base
    today: date
    consumers_known: bool
    project: Project | None = None


def cover(
    step: Step, versions: Sequence[Written], consumers: Sequence[Consumer], site: Site
) -> Cover:
    """What covers the breaking changes of a step.

    Args:
        versions: all versions of the contract that stand in the working tree.
        consumers: everybody whom the changes break.
    """
    assert step.before is not None
    old, new = step.before, _new_version(step, versions)
    notice_path = path_of(site.root, old.contract.family_name, _major(step, new))
    notice = read_notice(notice_path)
    return Cover(
        (
            _decision(step, new, site),
            _window(step, new, versions, notice, site),
            _notification(step, new, notice, notice_path, consumers, site),
            _side_by_side(step, new, versions, site),
        )
    )


def is_over(contract: Contract, went_in: date) -> bool:
    """Whether a version's announced end had come on the day on which it went away."""
    ended = contract.status == "deprecated" and contract.end_of_life is not None
    return ended and contract.end_of_life is not None and went_in >= contract.end_of_life


def removal_day(site: Site, contract: Contract) -> date:
    """The day on which a contract's file went away."""
    return _went_in(site, contract.path, lambda data: data is None)


def _new_version(step: Step, versions: Sequence[Written]) -> Written | None:
    """The version that follows; None where the change was made in place, or nothing follows."""
    assert step.before is not None
    if step.event is Event.NEW_VERSION:
        return step.after
    newer = (w for w in versions if w.contract.major > step.before.contract.major)
    return next(newer, None) if step.event is Event.REMOVED else None


def _major(step: Step, new: Written | None) -> int:
    """The major version that decision and notice are about."""
    assert step.before is not None
    if new is not None:
        return new.contract.major
    return step.before.contract.major + (step.event is not Event.REMOVED)


# a decision on record


def _decision(step: Step, new: Written | None, site: Site) -> Condition:
    assert step.before is not None
    contract, major = step.before.contract.family_name, _major(step, new)
    for path in sorted((site.root / ADR_FOLDER).glob("*.md")):
        text = path.read_text("utf-8", errors="replace")
        if _names(text, contract) and _names_version(text, major):
            return Condition("decision", True, f"{_short(path, site)} says why")
    version = new.contract.version if new else f"{major}.0.0"
    return Condition(
        "decision",
        False,
        f"no file of {ADR_FOLDER} names {contract} and version {version}",
        f"write {ADR_FOLDER}/<number>-<title>.md that names {contract} and {version}, and says why"
        " it has to break",
    )


def _names(text: str, contract: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(contract)}(?![\w])", text) is not None


def _names_version(text: str, major: int) -> bool:
    said = rf"(?<![\w.])({major}\.\d+\.\d+|v{major}|version {major})(?![\w])"
    return re.search(said, text, re.I) is not None


# a migration window


def _window(
    step: Step,
    new: Written | None,
    versions: Sequence[Written],
    notice: Notice | None,
    site: Site,
) -> Condition:
    assert step.before is not None
    old = step.before.contract
    standing = next((w for w in versions if w.contract.major == old.major), None)
    if step.event is Event.REMOVED:
        return _window_of_removal(old, site)
    if new is None or standing is None:
        return _not_bumped(step, standing)
    contract = standing.contract
    if contract.status != "deprecated" or contract.end_of_life is None:
        return Condition(
            "window",
            False,
            f"{contract.path.name} (version {contract.version}) is not deprecated with a date",
            f"in {contract.path.name}: `status: deprecated`, and under slaProperties"
            f' `{{property: endOfLife, value: "{_earliest(site.today)}"}}` or later',
        )
    begins = _window_begins(contract, new.contract, notice, site)
    lasts = (contract.end_of_life - begins).days
    found = (
        f"version {contract.version} ends on {contract.end_of_life},"
        f" {lasts} days after the window began on {begins}"
    )
    if contract.end_of_life < begins + WINDOW:
        do = f"set its endOfLife to {_earliest(begins)} or later"
        return Condition("window", False, found, do)
    return Condition("window", True, found)


def _window_begins(old: Contract, new: Contract, notice: Notice | None, site: Site) -> date:
    def ends_then(data: bytes | None) -> bool:
        then = _read(old.path, data)
        return then is not None and (then.status, then.end_of_life) == (old.status, old.end_of_life)

    def is_there(data: bytes | None) -> bool:
        then = _read(new.path, data)
        return then is not None and then.major == new.major

    days = [_went_in(site, old.path, ends_then), _went_in(site, new.path, is_there)]
    if notice is not None and notice.complete_on is not None:
        days.append(notice.complete_on)
    return max(days)


def _window_of_removal(old: Contract, site: Site) -> Condition:
    if old.end_of_life is None or old.status != "deprecated":
        return Condition(
            "window",
            False,
            f"version {old.version} was never deprecated",
            f"put {old.path.name} back, deprecate it with an endOfLife at least {WINDOW.days} days"
            " ahead, and remove it on that day or later",
        )
    day = removal_day(site, old)
    found = f"version {old.version} was announced to end on {old.end_of_life}; it went on {day}"
    if is_over(old, day):
        return Condition("window", True, found)
    return Condition(
        "window",
        False,
        f"version {old.version} is promised until {old.end_of_life}",
        f"put {old.path.name} and its model back; remove them on {old.end_of_life} or later",
    )


def _not_bumped(step: Step, standing: Written | None) -> Condition:
    assert step.before is not None
    old = step.before.contract
    after = step.after.contract if step.after else None
    if step.event is Event.MOVED and after:
        found = f"{old.family_name} is gone and {after.family_name} has come"
        do = f"keep {old.path.name} with its version deprecated, and build both until its end"
    elif standing is None:
        found = f"version {old.version} is gone; nothing of it is built until a date"
        do = _how_to_split(old)
    else:
        found = f"the change is made in version {standing.contract.version} itself"
        do = _how_to_split(old)
    return Condition("window", False, found, do)


def _how_to_split(old: Contract) -> str:
    new = old.major + 1
    if old.versioned_as or old.schema in (RAW, TOPICS):
        kept = f"put {old.path.name} back as it was"
    else:
        kept = f"keep it as it was, renamed {old.family}-v{old.major}.yaml"
    return (
        f"{kept}, with `status: deprecated` and an endOfLife at least {WINDOW.days} days ahead;"
        f" make the change in {old.family}-v{new}.yaml as version {new}.0.0"
    )


def _earliest(begins: date) -> date:
    return begins + WINDOW


def _went_in(site: Site, path: Path, same: Callable[[bytes | None], bool]) -> date:
    """The day on which a file came to be as it is now, as far as `same` tells; today if just now.

    The commits since the base are followed back for as long as the file was the same.
    """
    day = site.today
    head = content_at(site.base.folder, "HEAD", path)
    if not same(head):
        return day
    for commit in commits_since(site.base, path):
        if not same(content_at(site.base.folder, commit.name, path)):
            break
        day = commit.day
    return day


def _read(path: Path, data: bytes | None) -> Contract | None:
    if data is None:
        return None
    try:
        return contract_of(path, read_document(path, data))
    except InvalidContract:
        return None


# consumers who were told


def _notification(
    step: Step,
    new: Written | None,
    notice: Notice | None,
    path: Path,
    consumers: Sequence[Consumer],
    site: Site,
) -> Condition:
    assert step.before is not None
    contract = step.before.contract.family_name
    outside = [
        c for c in consumers if c.kind != "producer" or c.name != step.before.contract.full_name
    ]
    if not site.consumers_known and site.project is not None:
        return Condition(
            "notification",
            False,
            "who consumes it is not known without a manifest",
            "run `dbt compile`, and pass --manifest if it is not target/manifest.json",
        )
    if notice is None:
        if site.consumers_known and not outside:
            return Condition("notification", True, "nobody is known to consume it")
        return Condition(
            "notification",
            False,
            f"no notice on record ({FOLDER / path.name})",
            f"waypoint contracts notify {contract} --base {site.base.reference}",
        )
    problem = _unfit(notice, contract, _major(step, new))
    if problem:
        return Condition("notification", False, f"{_short(path, site)}: {problem}", "send it anew")
    missing = notice.missing(outside)
    if missing:
        names = ", ".join(sorted(consumer.label or consumer.name for consumer in missing))
        return Condition(
            "notification",
            False,
            f"{_short(path, site)} does not say that these were told: {names}",
            f"waypoint contracts notify {contract} --base {site.base.reference}",
        )
    told = len({(one.kind, one.name) for one in notice.told})
    consumer_words = "consumer was" if told == 1 else "consumers were"
    found = f"{told} {consumer_words} told by {notice.complete_on}: {_short(path, site)}"
    return Condition("notification", bool(notice.told), found, "send it")


def _unfit(notice: Notice, contract: str, major: int) -> str:
    if notice.contract != contract:
        return f"it is about {notice.contract}"
    if notice.version.split(".")[0] != str(major):
        return f"it is about version {notice.version}"
    return ""


# both versions side by side


def _side_by_side(
    step: Step, new: Written | None, versions: Sequence[Written], site: Site
) -> Condition:
    assert step.before is not None
    old = step.before.contract
    standing = next((w for w in versions if w.contract.major == old.major), None)
    if step.event is Event.REMOVED:
        over = is_over(old, removal_day(site, old))
        found = "it was built until its end" if over else f"version {old.version} is built no more"
        return Condition("side by side", over, found, f"put {old.path.name} and its model back")
    if new is None or standing is None:
        there = standing or step.after
        only = there.contract.version if there else "none"
        return Condition(
            "side by side",
            False,
            f"there is one version of {old.family_name}: {only}",
            f"build {old.family}_v{old.major} as it was and {old.family}_v{old.major + 1} as it"
            " will be: the model's SQL under both names, then `waypoint contracts render`",
        )
    built_here = old.schema not in (RAW, TOPICS)
    problem = _not_built(standing.contract, new.contract, site) if built_here else ""
    names = f"{standing.contract.name} and {new.contract.name}"
    if problem:
        return Condition("side by side", False, problem, "then `waypoint contracts render`")
    view = f", and {old.family} leads to version {min(w.contract.major for w in versions)}"
    return Condition("side by side", True, f"{names} are both built{view if built_here else ''}")


def _not_built(old: Contract, new: Contract, site: Site) -> str:
    """Why not both are built by the dbt project; empty where they are, or there is none."""
    if site.project is None:
        return ""
    nodes = find_nodes(site.project)
    for contract in (old, new):
        if contract.name not in nodes:
            return f"no model builds version {contract.version}: add {contract.name}.sql"
    try:
        derived = derived_files(site.project, nodes)
    except WaypointError as error:
        return str(error)
    for contract in (old, new):
        node = nodes[contract.name]
        path = node.path.with_suffix(".yml")
        if node.kind == "models" and contract.versioned_as:
            path = node.path.with_name(f"{contract.family}.yml")
        if path in derived and (not path.exists() or path.read_text() != derived[path]):
            return f"{path.relative_to(site.root)} does not know both versions"
    return ""


def _short(path: Path, site: Site) -> Path:
    return path.relative_to(site.root)
