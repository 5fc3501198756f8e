"""An answer as a tree that people read, each table in full once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from waypoint.lineage.answers import Answer, Step, Use
from waypoint.lineage.columns import ColumnRef

_WIDEST = 120  # characters of a line, also where a pipe would take more
_KINDS = {"ml": "ML"}


def print_answer(answer: Answer, console: Console) -> None:
    """The answer as a tree with owners, columns and rows, and a line that sums it up."""
    width = min(console.width, _WIDEST)
    for tree in _Forest(answer).trees():
        console.print(tree, width=width, soft_wrap=False)
    console.print(_summary(answer), markup=False)
    for name, why in answer.graph.untraced.items():
        console.print(f"! {name}: {why}; all that it is built from counts", markup=False)


class _Forest:
    """One tree for each table or exposure that was asked about."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._down = answer.direction == "impact"
        self._primary = _first_reached_from(answer)

    def trees(self) -> Iterable[Tree]:
        if not self._down:
            for use in self._answer.uses:
                root = Tree(_heading(use.exposure.label, _exposure_words(use)), guide_style="dim")
                self._grow(root, use.exposure.label)
                yield root
        for table, columns in self._answer.start.items():
            found = self._answer.graph.tables[table]
            words = [found.kind, found.owner]
            if table not in self._answer.whole:
                words.append(f"column{'s' * (len(columns) > 1)} {', '.join(columns)}")
            root = Tree(_heading(table, words), guide_style="dim")
            self._grow(root, table)
            yield root

    def _grow(self, tree: Tree, name: str) -> None:
        for step in self._answer.steps:
            if name not in step.next_to:
                continue
            primary = self._primary[step.table.name]
            if primary != name:
                label = Text(step.table.name, style="dim")
                label.append(f"  as under {primary}")
                tree.add(label)
                continue
            heading = _heading(step.table.name, [step.table.kind, step.table.owner])
            for line in self._lines(step):
                heading.append(f"\n{line}")
            self._grow(tree.add(heading), step.table.name)
        if self._down:
            for use in self._answer.uses:
                if name in use.values or name in use.rows:
                    heading = _heading(use.exposure.label, _exposure_words(use), style="bold cyan")
                    heading.append(f"\n{_used(use, name)}")
                    tree.add(heading)

    def _lines(self, step: Step) -> Iterable[str]:
        if self._down:
            if step.values:
                yield f"carries  {_carried(step.values, step.next_to)}"
            if step.decided_by:
                yield f"rows by  {_named(step.decided_by, step.next_to)}"
            elif step.follows:
                yield f"rows follow  {', '.join(step.follows)}"
            return
        if step.values:
            yield f"values  {', '.join(step.values)}"
        by_table: dict[tuple[str, ...], list[str]] = {}
        for column, tables in step.decides.items():
            by_table.setdefault(tables, []).append(column)
        for tables, columns in by_table.items():
            yield f"decides rows of {', '.join(tables)}  by {', '.join(columns)}"
        if not step.values and not step.decides:
            yield "its rows are read, none of its columns"


def _first_reached_from(answer: Answer) -> dict[str, str]:
    """For each step the neighbour that it is shown under: the one nearest to what was asked."""
    roots = [*answer.start]
    if answer.direction == "upstream":
        roots = [use.exposure.label for use in answer.uses] + roots
    found: dict[str, str] = {}
    level: Sequence[str] = roots
    while level:
        following = []
        for name in level:
            for step in answer.steps:
                if name in step.next_to and step.table.name not in found:
                    found[step.table.name] = name
                    following.append(step.table.name)
        level = following
    return found


def _heading(name: str, words: Iterable[str], style: str = "bold") -> Text:
    text = Text(name, style=style)
    text.append(f"  {', '.join(word for word in words if word)}", style="not bold dim")
    return text


def _exposure_words(use: Use) -> list[str]:
    exposure = use.exposure
    kind = _KINDS.get(exposure.kind, exposure.kind)
    return [kind, exposure.owner + (f" <{exposure.email}>" if exposure.email else "")]


def _used(use: Use, table: str) -> str:
    if table in use.values:
        return f"uses  {', '.join(use.values[table])}"
    return f"uses  rows of {table} that come and go"


def _carried(values: Mapping[str, Sequence[ColumnRef]], next_to: Sequence[str]) -> str:
    parts = []
    for column, refs in values.items():
        made_of = _named(refs, next_to)
        parts.append(column if made_of == column else f"{column} ← {made_of}")
    return ", ".join(parts) if all("←" not in part for part in parts) else "; ".join(parts)


def _named(refs: Iterable[ColumnRef], next_to: Sequence[str]) -> str:
    """Columns without their table, where it can only be one."""
    if len(next_to) == 1:
        return ", ".join(ref.column for ref in refs)
    return ", ".join(str(ref) for ref in refs)


def _summary(answer: Answer) -> str:
    asked = ", ".join(answer.asked)
    if answer.direction == "upstream":
        sources = sum(step.table.kind == "source" for step in answer.steps)
        if not answer.steps:
            return f"{asked} is made of nothing else here."
        made = f"{_counted(len(answer.steps), 'table')}, {_counted(sources, 'source')} among them"
        return f"{asked} is made of {made}. Owners: {', '.join(answer.owners) or 'none named'}."
    if not answer.steps and not answer.uses:
        return f"{asked} reaches nothing."
    consumers = ", ".join(f"{use.exposure.label} ({use.exposure.owner})" for use in answer.uses)
    owners = ", ".join(answer.owners) or "none named"
    return (
        f"{asked} reaches {_counted(len(answer.steps), 'table')} and "
        f"{_counted(len(answer.uses), 'exposure')}{': ' + consumers if consumers else ''}.\n"
        f"Owners to ask: {owners}."
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
