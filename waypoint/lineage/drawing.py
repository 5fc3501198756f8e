"""An answer as a picture: SVG that needs nothing else, or the text of a Mermaid diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from waypoint.lineage.answers import Answer, Step, Use

# pixels
_WIDTH = 208  # of a box
_ACROSS = 76  # between two layers
_BETWEEN = 16  # between two boxes of a layer
_LINE = 16
_HEAD = 40
_MARGIN = 20
_TITLE = 34
_LONGEST = 28  # characters of a line in a box
_SHOWN = 8  # columns of a box

_STYLE = """
svg {
  background: #f6f6f3;
  font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif;
}
.title { font-size: 15px; font-weight: 650; fill: #1b2430; }
.box { fill: #fff; stroke: #c9ccc6; }
.box.asked { stroke: #1f5fa8; stroke-width: 2; }
.box.exposure { fill: #e8f0fa; stroke: #1f5fa8; }
.box.rows { stroke-dasharray: 5 4; }
.name { font-weight: 620; fill: #1b2430; }
.soft { fill: #5a6675; }
.edge { fill: none; stroke: #1f5fa8; stroke-width: 1.5; opacity: .55; }
.edge.rows { stroke: #8b95a1; stroke-dasharray: 5 4; }
@media (prefers-color-scheme: dark) {
  svg { background: #11161d; }
  .title, .name { fill: #e8ebef; }
  .soft { fill: #a3aebb; }
  .box { fill: #191f28; stroke: #3a4452; }
  .box.asked, .box.exposure { stroke: #7db4f0; }
  .box.exposure { fill: #1a2a3d; }
  .edge { stroke: #7db4f0; }
}
"""


@dataclass(frozen=True)
class _Box:
    """A table or exposure: what stands in it, and the boxes that flow into it."""

    name: str
    under: str
    lines: tuple[str, ...]
    look: str  # classes of the style
    inputs: Mapping[str, bool]  # by name; whether values flow, or rows only

    @property
    def height(self) -> int:
        return _HEAD + _LINE * len(self.lines) + (8 if self.lines else 0)


def svg(answer: Answer) -> str:
    """The answer drawn from left to right, sources first."""
    boxes = _boxes(answer)
    places = _placed(boxes)
    right = max(x for x, _ in places.values()) + _WIDTH + _MARGIN
    bottom = max(places[box.name][1] + box.height for box in boxes) + _MARGIN
    words = "reaches" if answer.direction == "impact" else "is made of"
    title = f"What {', '.join(answer.asked)} {words}"
    drawn = [
        f'<text class="title" x="{_MARGIN}" y="{_MARGIN + 8}">{escape(title)}</text>',
        *(_edge(box, name, places, boxes) for box in boxes for name in box.inputs),
        *(_drawn(box, *places[box.name]) for box in boxes),
    ]
    width = max(right, _MARGIN * 2 + 9 * len(title))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom}" width="{width}"'
        f' height="{bottom}" role="img"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def mermaid(answer: Answer) -> str:
    """The answer as a Mermaid flowchart; a dotted arrow carries rows, and no values."""
    boxes = _boxes(answer)
    ids = {box.name: f"n{number}" for number, box in enumerate(boxes)}
    lines = ["flowchart LR"]
    for box in boxes:
        label = "<br>".join([f"<b>{_quoted(box.name)}</b>", *map(_quoted, (box.under, *box.lines))])
        around = ('(["', '"])') if "exposure" in box.look else ('["', '"]')
        lines.append(f"    {ids[box.name]}{around[0]}{label}{around[1]}")
    for box in boxes:
        for name, values in box.inputs.items():
            lines.append(f"    {ids[name]} {'-->' if values else '-.->'} {ids[box.name]}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return escape(text).replace("&quot;", "#quot;").replace("&#x27;", "'")


def _boxes(answer: Answer) -> list[_Box]:
    """The boxes of an answer, in build order, exposures last."""
    down = answer.direction == "impact"
    tables = answer.graph.tables
    asked = {
        name: _Box(
            name,
            f"{tables[name].kind}, {tables[name].owner}".rstrip(", "),
            () if name in answer.whole else _shortened(columns),
            "asked",
            {} if down else _flows_into(answer, name),
        )
        for name, columns in answer.start.items()
    }
    steps = {step.table.name: _step_box(answer, step) for step in answer.steps}
    order = [name for name in answer.graph.build_order if name in asked or name in steps]
    found = [asked.get(name) or steps[name] for name in order]
    return found + [_use_box(answer, use) for use in answer.uses]


def _step_box(answer: Answer, step: Step) -> _Box:
    table = step.table
    if answer.direction == "impact":
        valued = {ref.table for refs in step.values.values() for ref in refs}
        inputs = {name: name in valued for name in step.next_to}
    else:
        inputs = _flows_into(answer, table.name)
    look = "" if step.values else "rows"
    lines = _shortened([*step.values]) or (("rows only",) if step.rows else ())
    return _Box(table.name, f"{table.kind}, {table.owner}".rstrip(", "), lines, look, inputs)


def _use_box(answer: Answer, use: Use) -> _Box:
    exposure = use.exposure
    if answer.direction == "impact":
        inputs = {name: name in use.values for name in (*use.values, *use.rows)}
        used = {column for columns in use.values.values() for column in columns}
        lines = _shortened(sorted(used)) or ("rows only",)
    else:
        inputs, lines = _flows_into(answer, exposure.label), ()
    under = f"{exposure.kind}, {exposure.owner}".rstrip(", ")
    return _Box(exposure.label, under, lines, "exposure", inputs)


def _flows_into(answer: Answer, name: str) -> dict[str, bool]:
    """What flows into a table or exposure of an answer about upstream."""
    found = {}
    for step in answer.steps:
        if name in step.next_to:
            refs = [ref for refs in step.values.values() for ref in refs]
            is_use = name not in answer.graph.tables
            found[step.table.name] = is_use or any(ref.table == name for ref in refs)
    return found


def _shortened(columns: Sequence[str]) -> tuple[str, ...]:
    if len(columns) <= _SHOWN:
        return tuple(columns)
    return (*columns[: _SHOWN - 1], f"and {len(columns) - _SHOWN + 1} more")


def _placed(boxes: Sequence[_Box]) -> dict[str, tuple[int, int]]:
    """The upper left corner of each box: layers from left to right, little crossing."""
    layer: dict[str, int] = {}
    for box in boxes:
        layer[box.name] = 1 + max((layer[name] for name in box.inputs if name in layer), default=-1)
    last = max(layer.values())
    layers: list[list[_Box]] = [[] for _ in range(last + 1)]
    for box in boxes:
        if "exposure" in box.look:
            layer[box.name] = last
        layers[layer[box.name]].append(box)
    middle: dict[str, float] = {}
    places: dict[str, tuple[int, int]] = {}
    tallest = max(sum(b.height + _BETWEEN for b in column) for column in layers)
    for number, column in enumerate(layers):
        column.sort(key=lambda box: _mean([middle[n] for n in box.inputs if n in middle]))
        free = tallest - sum(box.height + _BETWEEN for box in column)
        y = _MARGIN + _TITLE + free // 2
        for box in column:
            places[box.name] = (_MARGIN + number * (_WIDTH + _ACROSS), y)
            middle[box.name] = y + box.height / 2
            y += box.height + _BETWEEN
    return places


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _drawn(box: _Box, x: int, y: int) -> str:
    texts = [
        f'<text class="name" x="{x + 12}" y="{y + 18}">{escape(_cut(box.name))}</text>',
        f'<text class="soft" x="{x + 12}" y="{y + 33}">{escape(_cut(box.under))}</text>',
    ]
    for number, line in enumerate(box.lines):
        at = y + _HEAD + 12 + number * _LINE
        texts.append(f'<text x="{x + 12}" y="{at}" class="soft">{escape(_cut(line))}</text>')
    return (
        f'<g><title>{escape(box.name)}</title><rect class="box {box.look}" x="{x}" y="{y}"'
        f' width="{_WIDTH}" height="{box.height}" rx="8"/>{"".join(texts)}</g>'
    )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _edge(
    box: _Box, source: str, places: Mapping[str, tuple[int, int]], boxes: Sequence[_Box]
) -> str:
    heights = {b.name: b.height for b in boxes}
    x1, y1 = places[source][0] + _WIDTH, places[source][1] + heights[source] // 2
    x2, y2 = places[box.name][0], places[box.name][1] + box.height // 2
    bend = (x2 - x1) // 2
    look = "edge" if box.inputs[source] else "edge rows"
    return f'<path class="{look}" d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'
