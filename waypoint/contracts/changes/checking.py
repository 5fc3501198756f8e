"""The gate: contracts of the working tree against those of a git reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path

from waypoint.contracts.changes.affected import Consumer, Consumers, merged, read_graph
from waypoint.contracts.changes.cover import Cover, cover
from waypoint.contracts.changes.history import Base, base
from waypoint.contracts.changes.model import Change, Written, audiences
from waypoint.contracts.changes.pairing import Event, Families, Step, steps
from waypoint.contracts.changes.transition import Site, Transition, is_over
from waypoint.contracts.changes.verdicts import Kind
from waypoint.contracts.changes.wording import sentence
from waypoint.contracts.documents import InvalidContract, read_document
from waypoint.contracts.reading import contract_of, contracts_of
from waypoint.errors import UnusableInput
from waypoint.project import Project

_SUFFIXES = (".yaml", ".yml")


class Outcome(StrEnum):
    """What the gate says of a contract, or of all of them."""

    FINE = "fine"
    COVERED = "breaking, covered"
    BREAKING = "breaking"


@dataclass(frozen=True)
class Finding:
    """A contract that changed: what changed, whom each change breaks, and its cover."""

    step: Step
    changes: tuple[tuple[Change, tuple[Consumer, ...]], ...]
    transition: Transition | None = None  # None where nothing breaks, now or at an end announced
    cover: Cover | None = None

    @property
    def contract(self) -> str:
        """The name that consumers know it by: of a contract that moved, the old one."""
        moved = self.step.event is Event.MOVED and self.step.before is not None
        written = self.step.before if moved else self.step.written
        assert written is not None
        return written.contract.family_name

    @property
    def outcome(self) -> Outcome:
        if self.cover is None:
            return Outcome.FINE
        return Outcome.COVERED if self.cover.complete else Outcome.BREAKING

    @property
    def consumers(self) -> list[Consumer]:
        """Everybody whom some change breaks, each once."""
        return merged(consumer for _, consumers in self.changes for consumer in consumers)


@dataclass(frozen=True)
class Report:
    """What the gate found."""

    base: Base
    day: date
    contracts: int
    findings: tuple[Finding, ...]
    consumers_known: bool
    remarks: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        outcomes = {finding.outcome for finding in self.findings}
        for worst in (Outcome.BREAKING, Outcome.COVERED):
            if worst in outcomes:
                return worst
        return Outcome.FINE

    def about(self, contract: str) -> Finding | None:
        """What was found of a contract: of its versions, the one that matters to consumers."""
        found = [finding for finding in self.findings if finding.contract == contract]
        return max(found, key=lambda finding: finding.transition is not None, default=None)

    @property
    def exit_code(self) -> int:
        return int(self.outcome is Outcome.BREAKING)


def check(
    folder: Path,
    reference: str,
    *,
    manifest: Path | None = None,
    base_manifest: Path | None = None,
    today: date | None = None,
) -> Report:
    """Compare the contracts in `folder` with those of a git reference.

    Args:
        manifest: dbt's manifest of the working tree, compiled; where it is None, models,
            dashboards and ML are not known.
        base_manifest: the one of the base, to know those too that no longer read a table.
        today: the day that counts for what is not committed; the clock's (UTC) unless given.

    Raises:
        UnusableInput: contracts, manifests or the repository cannot be used.
    """
    today = today or datetime.now(UTC).date()
    then = base(folder, reference)
    now = list(_working_tree(folder))
    remarks: list[str] = []
    before = Families(_at_base(folder, then, now, remarks))
    after = Families(now)
    contracts = contracts_of(written.contract for written in now)
    graphs = [graph for graph in map(read_graph, (base_manifest, manifest)) if graph]
    changed = [step for step in steps(before, after) if not _is_same(step)]

    consumers = Consumers(contracts, graphs)
    consumers.trace(changed)
    site = Site(folder.parent, then, today, consumers.known, _project(folder.parent))
    findings = []
    for step in changed:
        finding = _finding(step, consumers, site, after)
        if finding.changes:
            findings.append(finding)
    remarks.extend(_about_lineage(consumers, findings, len(graphs)))
    return Report(
        base=then,
        day=today,
        contracts=len(contracts),
        findings=tuple(findings),
        consumers_known=consumers.known,
        remarks=tuple(remarks),
    )


def find_contracts(start: Path) -> Path:
    """The contracts folder of the project, or else repository, that holds `start`.

    Raises:
        UnusableInput: there is none here or in any folder above.
    """
    here = start.resolve()
    for folder in (here, *here.parents):
        if folder.name == "contracts" and any(folder.rglob("*.y*ml")):
            return folder
        if (folder / "contracts").is_dir():
            return folder / "contracts"
    raise UnusableInput(
        f"no folder `contracts` in {here} or any folder above it",
        hint="run this in the repository that holds the contracts, or pass --project-dir",
    )


def _project(root: Path) -> Project | None:
    return Project.find(root) if (root / "dbt_project.yml").is_file() else None


# contracts of both sides


def _working_tree(folder: Path) -> Iterator[Written]:
    """Every contract file below `folder`; all that cannot be read are told at once."""
    unusable: list[InvalidContract] = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in _SUFFIXES):
        try:
            document = read_document(path)
            yield Written(contract_of(path, document), document)
        except InvalidContract as error:
            unusable.append(error)
    if len(unusable) == 1:
        raise unusable[0]
    if unusable:
        told = "\n  ".join(f"{error}\n    hint: {error.hint}" for error in unusable)
        raise InvalidContract(f"{len(unusable)} contracts cannot be used:\n  {told}")


def _at_base(
    folder: Path, then: Base, now: Sequence[Written], remarks: list[str]
) -> Iterator[Written]:
    """The contracts of the base. Files with the same content are not read again."""
    same: dict[str, Written] = {}
    for written in now:
        name = written.contract.path.relative_to(folder).as_posix()
        if then.holds(name, written.contract.path.read_bytes()):
            same[name] = written
    wanted = [name for name in then.files if Path(name).suffix in _SUFFIXES]
    contents = then.read(name for name in wanted if name not in same)
    for name in wanted:
        if name in same:
            yield same[name]
            continue
        path = folder / name
        try:
            document = read_document(path, contents[name])
            yield Written(contract_of(path, document), document)
        except InvalidContract as error:
            remarks.append(f"as it was at {then.reference}, a contract was not readable: {error}")


def _is_same(step: Step) -> bool:
    return step.before is step.after or (
        step.before is not None
        and step.after is not None
        and step.event is Event.EDITED
        and step.before.contract.name == step.after.contract.name
        and step.before.document == step.after.document
    )


# what happened


def _finding(step: Step, consumers: Consumers, site: Site, after: Families) -> Finding:
    contract = step.written.contract
    versions = [w for _, w in sorted(after.versions(contract.family_name).items())]
    changes = _changes(step, versions, site)
    told = tuple((change, tuple(consumers.of(change, step))) for change in changes)
    finding = Finding(step, told)
    if _is_retirement(changes, versions):
        losing = consumers.of(_end(step), step)
        return Finding(step, told, Transition(step, versions, losing, site, retiring=True))
    if not any(change.breaking for change in changes):
        return finding
    transition = Transition(step, versions, finding.consumers, site)
    return Finding(step, told, transition, cover(transition))


def _is_retirement(changes: Sequence[Change], versions: Sequence[Written]) -> bool:
    """The end of a table is announced, no newer version stands beside it, and nothing breaks."""
    announced = {change.kind for change in changes} & {Kind.DEPRECATED, Kind.END_OF_LIFE_SET}
    breaking = any(change.breaking for change in changes)
    return bool(announced) and len(versions) == 1 and not breaking


def _end(step: Step) -> Change:
    """What will break when a table whose end is announced is gone."""
    contract = step.written.contract
    kind = Kind.CONTRACT_REMOVED
    return Change(kind, "", sentence(kind, "", None, None), audiences(kind, contract))


def _changes(step: Step, versions: Sequence[Written], site: Site) -> list[Change]:
    """The changes of a step: what happened to the contract as a whole, and everything in it."""
    # heavy, and not always needed
    from waypoint.contracts.changes.comparing import UnreadableBefore, compare

    if step.before is None:
        return [_whole(Kind.CONTRACT_ADDED, step)]
    if step.after is None:
        return [_removal(step, versions, site)]
    try:
        inner = compare(step.before, step.after, step.keeps_name)
    except UnreadableBefore:
        return [_whole(Kind.CONTRACT_MENDED, step)]
    if step.event is Event.NEW_VERSION:
        # its table has a name of its own, and the old one keeps its status
        own = (Kind.PHYSICAL_NAME_CHANGED, Kind.STATUS_CHANGED, Kind.VERSION_RAISED)
        inner = [change for change in inner if change.kind not in own]
        return [_whole(Kind.VERSION_ADDED, step), *inner]
    if step.event is Event.MOVED:
        inner = [change for change in inner if change.kind is not Kind.PHYSICAL_NAME_CHANGED]
        return [_whole(Kind.CONTRACT_MOVED, step), *inner]
    return inner


def _whole(kind: Kind, step: Step) -> Change:
    before = step.before.contract if step.before else None
    after = step.after.contract if step.after else None
    if kind is Kind.VERSION_ADDED:
        old, new = (contract.version if contract else None for contract in (before, after))
    else:
        old, new = (contract.full_name if contract else None for contract in (before, after))
    return Change(
        kind=kind,
        subject="",
        what=sentence(kind, "", old, new),
        breaks=audiences(kind, before) if before else frozenset(),
        before=old,
        after=new,
    )


def _removal(step: Step, versions: Sequence[Written], site: Site) -> Change:
    assert step.before is not None
    old = step.before.contract
    newer = any(written.contract.major > old.major for written in versions)
    kind = Kind.VERSION_REMOVED if newer else Kind.CONTRACT_REMOVED
    ends = old.end_of_life.isoformat() if old.end_of_life else None
    if newer and is_over(old, site.removal_day(old)):
        kind = Kind.VERSION_REMOVED_IN_TIME
    return Change(
        kind=kind,
        subject="",
        what=sentence(kind, "", old.version, ends),
        breaks=audiences(kind, old),
        before=old.version,
        after=ends,
    )


def _about_lineage(consumers: Consumers, findings: Sequence[Finding], graphs: int) -> Iterator[str]:
    breaking = [finding for finding in findings if finding.cover is not None]
    if findings and not consumers.known:
        yield (
            "which models, dashboards and ML features are affected is not known: there is no dbt"
            " manifest. Run `dbt compile`, or pass --manifest"
        )
    if not breaking or not consumers.known:
        return
    if not consumers.precise:
        yield (
            "consumers are told by table, not by column, so some may not be concerned:"
            f" {consumers.why_not_precise}"
        )
    if graphs == 1:
        yield (
            "consumers are those of one manifest; --base-manifest adds those that this branch has"
            " changed already"
        )
    for finding in breaking:
        for name in consumers.not_in_any_manifest(finding.step):
            yield (
                f"{name} is in no manifest, so who is built from it is not known: run `dbt compile`"
            )
