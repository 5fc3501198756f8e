"""Who is affected by a change: models, dashboards, ML, topics and roles, down to the column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from waypoint.contracts.changes.model import Change
from waypoint.contracts.changes.pairing import Event, Step
from waypoint.contracts.changes.verdicts import Audience, Kind
from waypoint.contracts.model import ML_FEATURES, RAW, TOPICS, Contract, Contracts
from waypoint.lineage.columns import ColumnRef, UntraceableQuery
from waypoint.lineage.graph import Exposure, LineageGraph, Table

#: The custom property of a topic's contract that names the table which is published to it.
PUBLISHED_FROM = "publishedFrom"
#: The one that names the raw table that its messages land in.
LANDS_IN = "landsIn"

#: Changes after which a query that reads the column does not even run.
_GONE = frozenset({Kind.COLUMN_DROPPED, Kind.COLUMN_RENAMED})
#: Changes of how a topic works: they concern those at the topic, and nobody behind the table it
#: lands in.
_OF_THE_TOPIC = frozenset(
    {
        Kind.TOPIC_KEY_CHANGED,
        Kind.TOPIC_FORMAT_CHANGED,
        Kind.TOPIC_CLEANUP_CHANGED,
        Kind.TOPIC_PARTITIONS_CHANGED,
    }
)
#: Changes of the contract's terms, which every reader of the table feels, whatever it reads.
_COLUMNLESS = frozenset({Kind.KEY_CHANGED, Kind.KEY_DROPPED})


@dataclass(frozen=True, order=True)
class Consumer:
    """Somebody who is affected, and has to be told.

    `kind` is model, ML feature, topic, role, producer, or an exposure's kind (dashboard, ml ...);
    `columns` are the consumer's own columns, or those of the table that it uses, that are
    concerned; none where it is concerned as a whole. `direct`: it reads the changed table itself.
    """

    kind: str
    name: str
    label: str = ""
    owner: str = ""
    email: str = ""
    columns: tuple[str, ...] = ()
    direct: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same consumer in two reports."""
        return (self.kind, self.name)

    @property
    def audience(self) -> Audience:
        return _AUDIENCES.get(self.kind, Audience.DASHBOARDS)


_AUDIENCES = {
    "model": Audience.MODELS,
    "seed": Audience.MODELS,
    "snapshot": Audience.MODELS,
    "ML feature": Audience.ML,
    "ml": Audience.ML,
    "topic": Audience.TOPIC_CONSUMERS,
    "role": Audience.ROLES,
    "producer": Audience.PRODUCERS,
}


@dataclass
class _Reached:
    """Tables (with their concerned columns and whether they read it directly) and exposures."""

    tables: dict[str, tuple[set[str], bool]] = field(default_factory=dict)
    owners: dict[str, Table] = field(default_factory=dict)
    exposures: dict[str, tuple[Exposure, set[str]]] = field(default_factory=dict)

    def add_table(self, table: Table, columns: Iterable[str], direct: bool) -> None:
        known, was_direct = self.tables.get(table.name, (set(), False))
        self.tables[table.name] = (known | set(columns), was_direct or direct)
        self.owners[table.name] = table

    def add_exposure(self, exposure: Exposure, columns: Iterable[str]) -> None:
        _, known = self.exposures.get(exposure.name, (exposure, set()))
        self.exposures[exposure.name] = (exposure, known | set(columns))


class Consumers:
    """Consumers computed from the contracts and from the manifests of both sides.

    Who reads a table today stands in the base's manifest, who will read it in the working tree's;
    both are affected. `precise` is False where a manifest holds no compiled queries, so that
    everything built from a table counts as its consumer.
    """

    def __init__(self, contracts: Contracts, graphs: Iterable[LineageGraph]) -> None:
        self._contracts = contracts
        self._graphs = list(graphs)
        self.precise = True
        self.why_not_precise = ""

    @property
    def known(self) -> bool:
        """Whether there is a manifest to know models, dashboards and ML from."""
        return bool(self._graphs)

    def trace(self, steps: Iterable[Step]) -> None:
        """Look only at what is built from the tables of these steps, which saves most of the time.

        Without compiled queries, lineage is by table from here on.
        """
        names = {name for step in steps for name in _table_names(step)}
        limited = []
        for graph in self._graphs:
            below = graph.built_from(name for name in names if name in graph.tables)
            part = graph.limited_to(below)
            try:
                _ = part.queries
            except UntraceableQuery as error:
                self.precise = False
                self.why_not_precise = f"{error}; {error.hint}" if error.hint else str(error)
            limited.append(part)
        self._graphs = limited

    def not_in_any_manifest(self, step: Step) -> list[str]:
        """The step's table, if no manifest knows it under any of its names."""
        names = _table_names(step)
        known = any(name in graph.tables for graph in self._graphs for name in names)
        return [] if known or not names else names[:1]

    def of(self, change: Change, step: Step) -> list[Consumer]:
        """Everybody whom a change breaks, by kind and name."""
        if not change.breaking:
            return []
        reached = self._reached(change, step)
        found = [
            *self._built(reached),
            *self._topics(step, reached),
            *self._roles(change, step, reached),
            *self._producers(step),
        ]
        return sorted(consumer for consumer in found if consumer.audience in change.breaks)

    # lineage

    def _reached(self, change: Change, step: Step) -> _Reached:
        reached = _Reached()
        if change.kind in _OF_THE_TOPIC:
            return reached
        for graph in self._graphs:
            for name in _table_names(step):
                if name in graph.tables:
                    column = None if change.kind in _COLUMNLESS else change.column
                    self._follow(graph, name, column, change.kind, reached)
        return reached

    def _follow(
        self, graph: LineageGraph, table: str, column: str | None, kind: Kind, reached: _Reached
    ) -> None:
        if column is None or not self.precise:
            self._whole(graph, table, reached)
        elif kind in _GONE:
            self._gone(graph, ColumnRef(table, column.lower()), reached)
        else:
            self._changed(graph, ColumnRef(table, column.lower()), reached)

    def _whole(self, graph: LineageGraph, name: str, reached: _Reached) -> None:
        """Whatever is built from the table or shows it."""
        built = graph.built_from([name])
        for child in built:
            reached.add_table(graph.tables[child], (), name in graph.tables[child].parents)
        self._showing(graph, {name, *built}, reached)

    def _gone(self, graph: LineageGraph, gone: ColumnRef, reached: _Reached) -> None:
        """Queries that read the column fail, and nothing after them is built."""
        failing = {table for table, query in graph.queries.items() if gone in query.reads}
        for table in failing:
            query = graph.queries[table]
            carried = (c for c, refs in query.outputs.items() if gone in refs)
            reached.add_table(graph.tables[table], carried, direct=True)
        built = graph.built_from(failing)
        for child in built - failing:
            reached.add_table(graph.tables[child], (), direct=False)
        self._showing(graph, failing | built, reached)
        for exposure in graph.exposures.values():
            if gone.table in exposure.tables and _uses(exposure, gone):
                reached.add_exposure(exposure, [str(gone)])

    def _changed(self, graph: LineageGraph, changed: ColumnRef, reached: _Reached) -> None:
        """Wherever the column's values go, and whatever rows they decide."""
        impact = graph.impact([changed])
        for name in impact.tables:
            table = graph.tables[name]
            carried = {ref.column for ref in impact.values if ref.table == name}
            columns = () if name in impact.rows else carried
            reached.add_table(table, columns, direct=changed.table in table.parents)
        for exposure in impact.exposures:
            shown = [ref for ref in (changed, *impact.values) if ref.table in exposure.tables]
            reached.add_exposure(exposure, [str(ref) for ref in shown if _uses(exposure, ref)])

    def _showing(self, graph: LineageGraph, tables: set[str], reached: _Reached) -> None:
        for exposure in graph.exposures.values():
            if tables & set(exposure.tables):
                reached.add_exposure(exposure, ())

    # consumers

    def _built(self, reached: _Reached) -> Iterator[Consumer]:
        for name, (columns, direct) in reached.tables.items():
            table = reached.owners[name]
            kind = "ML feature" if name.startswith(f"{ML_FEATURES}.") else table.kind
            yield Consumer(
                kind=kind,
                name=name,
                owner=table.owner,
                columns=tuple(sorted(columns)),
                direct=direct,
            )
        for exposure, used in reached.exposures.values():
            yield Consumer(
                kind=exposure.kind,
                name=exposure.name,
                label=exposure.label,
                owner=exposure.owner,
                email=exposure.email,
                columns=tuple(sorted(used)),
                direct=True,
            )

    def _topics(self, step: Step, reached: _Reached) -> Iterator[Consumer]:
        """Topics that an affected table is published to, or whose messages land in one."""
        own = step.written.contract
        touched = set(reached.tables)
        touched.update(_table_names(step) if own.schema != TOPICS else ())
        for topic in self._contracts.topics:
            published = topic.custom.get(PUBLISHED_FROM)
            landed = f"{RAW}.{topic.custom.get(LANDS_IN)}"
            if topic.family_name == own.family_name:
                yield _topic(topic, direct=True)
            elif published in touched or (own.schema != TOPICS and landed in touched):
                yield _topic(topic, direct=own.full_name in (published, landed))
        if own.schema == TOPICS and step.after is None:
            yield _topic(own, direct=True)

    def _roles(self, change: Change, step: Step, reached: _Reached) -> Iterator[Consumer]:
        if change.kind in (Kind.ROLE_REMOVED, Kind.ROLE_NARROWED):
            yield Consumer(kind="role", name=change.subject, direct=True)
            return
        contract = step.before.contract if step.before else step.written.contract
        readable: dict[str, list[str]] = {}
        concerned = [
            contract,
            *(self._contracts[n] for n in reached.tables if n in self._contracts),
        ]
        owners: dict[str, str] = {}
        for one in concerned:
            for role in one.roles:
                readable.setdefault(role.name, []).append(one.full_name)
                owners.setdefault(role.name, ", ".join(role.approvers))
        for name, tables in readable.items():
            yield Consumer(
                kind="role",
                name=name,
                owner=owners[name],
                columns=tuple(sorted(set(tables))),
                direct=contract.full_name in tables,
            )

    def _producers(self, step: Step) -> Iterator[Consumer]:
        """Those who write the table or topic and have to meet its contract."""
        contract = step.written.contract
        senders = [
            topic.name
            for topic in self._contracts.topics
            if f"{RAW}.{topic.custom.get(LANDS_IN)}" == contract.full_name
        ]
        if contract.schema == TOPICS:
            senders, label = [contract.name], "whoever sends to topic {}"
        elif senders:
            label = "whoever sends to topic {}"
        else:
            senders = [contract.full_name]
            label = "the source of {}" if contract.schema == RAW else "the model that builds {}"
        for sender in senders:
            yield Consumer(
                kind="producer",
                name=sender,
                label=label.format(sender),
                owner=contract.owner,
                direct=True,
            )


def read_graph(manifest: Path | None) -> LineageGraph | None:
    """The lineage of a manifest; None where there is no file to read.

    Raises:
        UnusableInput: the file is no dbt manifest.
    """
    return LineageGraph.read(manifest) if manifest is not None else None


def merged(consumers: Iterable[Consumer]) -> list[Consumer]:
    """Each consumer once, with all the columns through which it is concerned."""
    found: dict[tuple[str, str], Consumer] = {}
    for one in consumers:
        known = found.get(one.key)
        if known is None:
            found[one.key] = one
            continue
        columns = () if not known.columns or not one.columns else {*known.columns, *one.columns}
        found[one.key] = Consumer(
            kind=one.kind,
            name=one.name,
            label=known.label or one.label,
            owner=known.owner or one.owner,
            email=known.email or one.email,
            columns=tuple(sorted(columns)),
            direct=known.direct or one.direct,
        )
    return sorted(found.values())


def _table_names(step: Step) -> list[str]:
    """The tables whose readers a step is about: for a topic, the raw table that it lands in.

    Of a new version, the older one's: who reads the new one already is not broken by it.
    """
    sides = [step.before] if step.event is Event.NEW_VERSION else [step.before, step.after]
    names: dict[str, None] = {}
    for written in sides:
        if written is None:
            continue
        contract = written.contract
        if contract.schema == TOPICS:
            landed = contract.custom.get(LANDS_IN)
            if landed:
                names[f"{RAW}.{landed}"] = None
        else:
            names[contract.full_name] = None
            if step.event is Event.NEW_VERSION:
                names[f"{contract.family_name}_v{contract.major}"] = None
    return list(names)


def _uses(exposure: Exposure, ref: ColumnRef) -> bool:
    listed = exposure.columns.get(ref.table)
    return ref.table in exposure.tables and (listed is None or ref.column in listed)


def _topic(topic: Contract, direct: bool) -> Consumer:
    return Consumer(
        kind="topic",
        name=topic.name,
        label=f"consumers of topic {topic.name}",
        owner=topic.owner,
        direct=direct,
    )
