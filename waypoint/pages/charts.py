"""Charts: a definition and its rows as Vega-Lite, without colours and fonts (the page's script
adds those, since they depend on the reader's light or dark)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from waypoint.pages.data import Answer, as_json
from waypoint.pages.definition import Channel, Chart, Layer
from waypoint.pages.formats import DAY_PATTERN, NUMBER_FORMATS, TIME_PATTERN

Spec = dict[str, Any]

_TIME_UNITS = {
    "day": "utcyearmonthdate",
    "hour": "utcyearmonthdatehours",
    "minute": "utcyearmonthdatehoursminutes",
}
#: The column that numbers the colours of a stack.
_RANK = "_rank"
#: A tick's label: the day at midnight, the time within a day.
_TIME_LABEL = (
    "utchours(datum.value) + utcminutes(datum.value) == 0"
    " ? utcFormat(datum.value, '%-d %b') : utcFormat(datum.value, '%H:%M')"
)
#: Charts that `each` may split into; the rest is left to the table below the chart.
MOST_SPLITS = 8


def needed_columns(chart: Chart) -> list[str]:
    """The columns that the chart's query must give."""
    named = {c.field for layer in chart.layers for c in layer.channels.values()}
    return sorted(named | ({chart.each} if chart.each else set()))


def specs(chart: Chart, answer: Answer) -> Iterator[tuple[str, Spec]]:
    """The chart as Vega-Lite, with a label: one, or one for each value of `chart.each`."""
    records = [{key: as_json(value) for key, value in row.items()} for row in answer.records()]
    if chart.each is None:
        yield "", _spec(chart, answer, records)
        return
    values = list(dict.fromkeys(record[chart.each] for record in records))
    for value in values[:MOST_SPLITS]:
        rows = [record for record in records if record[chart.each] == value]
        yield str(value), _spec(chart, answer, rows)


def _spec(chart: Chart, answer: Answer, records: list[dict[str, Any]]) -> Spec:
    used = needed_columns(chart)
    values = [{name: record[name] for name in used} for record in records]
    for layer in chart.layers:
        _rank(layer, values)
    layers = [_layer(layer, answer) for layer in chart.layers]
    drawn = layers[0] if len(layers) == 1 else {"layer": layers}
    return {
        "data": {"values": values},
        "width": "container",
        "height": chart.height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        **drawn,
    }


def _stacks(layer: Layer) -> bool:
    return (
        layer.mark in ("bar", "area") and "color" in layer.channels and "y2" not in layer.channels
    )


def _rank(layer: Layer, values: list[dict[str, Any]]) -> None:
    """Number the colours of a stack as the legend has them; Vega would sort them by name."""
    if _stacks(layer):
        color = layer.channels["color"]
        known = [*color.order, *(value[color.field] for value in values)]
        ranks = {value: rank for rank, value in enumerate(dict.fromkeys(known))}
        for value in values:
            value[_RANK] = ranks[value[color.field]]


def _layer(layer: Layer, answer: Answer) -> Spec:
    mark: Spec = {"type": layer.mark}
    if layer.size:
        mark["size"] = layer.size
    if layer.mark == "line":
        # unseen points make the tooltip easy to hit
        mark["point"] = {"opacity": 0, "size": 120}
    encoding: Spec = {
        name: _encoding(name, channel, answer) for name, channel in layer.channels.items()
    }
    if _stacks(layer):
        encoding["order"] = {"field": _RANK, "type": "quantitative"}
    if "y2" in layer.channels or "x2" in layer.channels:
        mark["cornerRadiusEnd"] = 0
    if layer.mark == "text":
        mark |= {"align": "left", "baseline": "middle", "dx": 6}
        return {"mark": mark, "encoding": encoding}
    tooltip = {c.field: _tooltip(c, answer) for c in layer.channels.values()}
    encoding["tooltip"] = list(tooltip.values())
    return {"mark": mark, "encoding": encoding}


def _encoding(name: str, channel: Channel, answer: Answer) -> Spec:
    kind = answer.kind(channel.field)
    if name in ("x2", "y2"):
        return {"field": channel.field}
    entry: Spec = {"field": channel.field, "type": kind}
    if name == "text":
        return entry
    scale: Spec = {}
    if kind == "temporal":
        entry["scale"] = scale = {"type": "utc"}
        if channel.unit:
            entry["timeUnit"] = _TIME_UNITS[channel.unit]
            del entry["scale"]  # the unit says UTC
    if channel.zero is not None:
        scale["zero"] = channel.zero
        entry["scale"] = scale
    if channel.stack is not None:
        entry["stack"] = channel.stack
    if channel.order:
        entry["sort"] = list(channel.order)
    elif kind == "nominal":
        entry["sort"] = None  # as the query orders them
    if name == "color":
        entry |= _color(channel)
    else:
        entry["title"] = None  # the panel's title says what is shown
        entry["axis"] = _axis(channel, kind)
    return entry


def _color(channel: Channel) -> Spec:
    entry: Spec = {"legend": {"title": channel.title} if channel.legend else None}
    if channel.colors:
        # roles; the page's script puts the colours in
        entry["scale"] = {
            "domain": list(channel.colors),
            "range": [f"role:{role}" for role in channel.colors.values()],
        }
    return entry


def _axis(channel: Channel, kind: str) -> Spec:
    if kind == "temporal":
        return {
            "tickCount": {"expr": "ceil(width / 90)"},
            "labelExpr": _TIME_LABEL,
        }
    if kind == "quantitative":
        pattern = NUMBER_FORMATS[channel.format].axis if channel.format else "~s"
        # through an expression: a tick's own format would write 0 as "0k" beside "5k"
        return {"labelExpr": f"format(datum.value, '{pattern}')", "tickCount": 5}
    return {}


def _tooltip(channel: Channel, answer: Answer) -> Spec:
    kind = answer.kind(channel.field)
    title = channel.title or channel.field.replace("_", " ")
    entry: Spec = {"field": channel.field, "type": kind, "title": title}
    if kind == "temporal":
        # through a unit, since only those are read as UTC here
        entry["timeUnit"] = _TIME_UNITS[channel.unit or "minute"]
        entry["format"] = DAY_PATTERN if channel.unit == "day" else TIME_PATTERN
    elif kind == "quantitative":
        entry["format"] = NUMBER_FORMATS[channel.format].tooltip if channel.format else ",.2~f"
    return entry
