"""What a page shows, as its YAML file says it. Nothing here knows what the data is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from waypoint.errors import UnusableInput
from waypoint.pages.formats import NUMBER_FORMATS

MARKS = ("bar", "line", "area", "point", "tick", "rule", "rect", "text")
BETTER = ("up", "down", "neither")
WIDTHS = ("full", "half", "third")
TIME_UNITS = ("day", "hour", "minute")


@dataclass(frozen=True)
class Channel:
    """What drives one direction or property of a mark: a column of the query.

    `colors` gives values colours by role (`good`, `bad`, `muted`); others get the palette's.
    """

    field: str
    title: str | None = None
    format: str | None = None
    unit: str | None = None  # of a time: how wide one mark is
    zero: bool | None = None  # whether the axis begins at zero
    stack: bool | None = None
    order: tuple[str, ...] = ()  # values in the order in which they are shown
    colors: Mapping[str, str] = dataclasses.field(default_factory=dict)
    legend: bool = True


@dataclass(frozen=True)
class Layer:
    """One mark of a chart and what drives it."""

    mark: str
    channels: Mapping[str, Channel]  # x, y, x2, y2, color, text
    size: int | None = None  # of bars and points, in pixels


@dataclass(frozen=True)
class Chart:
    """A chart: layers on the same axes. `each` names a column: one chart for each of its values."""

    layers: tuple[Layer, ...]
    height: int = 260
    each: str | None = None


@dataclass(frozen=True)
class TableColumn:
    """A column of a table, in the words of its reader."""

    field: str
    title: str
    format: str | None = None


@dataclass(frozen=True)
class Tile:
    """A big number. The query gives `value`, and may give `previous`, `unit` and `label`.

    One tile for each row; `label` tells the rows of one query apart. `trend` is a query that gives
    `value` in order, and `label` where the tile's query does.
    """

    title: str
    sql: str
    format: str | None = None
    compared_to: str | None = None
    better: str = "neither"
    trend: str | None = None


@dataclass(frozen=True)
class Panel:
    """A titled box that holds the chart or the table (or the tables' status) of one query."""

    title: str
    text: str = ""
    sql: str = ""
    width: str = "full"
    chart: Chart | None = None
    table: tuple[TableColumn, ...] = ()
    empty: str = "No data yet."
    status: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading and a sentence that says what one sees."""

    title: str
    text: str = ""
    tiles: tuple[Tile, ...] = ()
    panels: tuple[Panel, ...] = ()


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    text: str
    sections: tuple[Section, ...]


class InvalidPage(UnusableInput):
    """A page's file that cannot be used; the message names the file and the place."""


def read_page(folder: Path) -> Page:
    """The page that the YAML files of `folder` make up, in the order of their names.

    The first file that has a `title` names the page; all may have `sections`.

    Raises:
        InvalidPage: no file, not YAML, an unknown word, or a word that is missing.
    """
    files = sorted(folder.glob("*.yml"))
    if not files:
        raise InvalidPage(
            f"{folder}: no page is described there", hint="write overview.yml with `sections`"
        )
    title, text, sections = "", "", []
    for path in files:
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InvalidPage(f"{path}: not readable as YAML: {error}") from None
        place = _Place(path)
        entry = place.mapping(document, {"title", "text", "sections"})
        title = title or str(entry.get("title", ""))
        text = text or _sentence(entry.get("text", ""))
        for index, section in enumerate(place.listed(entry, "sections")):
            sections.append(_section(section, place.at(f"sections[{index}]")))
    return Page(title or folder.name, text, tuple(sections))


@dataclass(frozen=True)
class _Place:
    """Where in which file something stands, for errors."""

    path: Path
    at_: str = ""

    def at(self, step: str) -> _Place:
        return _Place(self.path, f"{self.at_}.{step}" if self.at_ else step)

    def wrong(self, what: str, hint: str = "") -> InvalidPage:
        return InvalidPage(f"{self.path}{', ' + self.at_ if self.at_ else ''}: {what}", hint=hint)

    def mapping(self, entry: Any, known: set[str]) -> dict[str, Any]:
        if not isinstance(entry, dict):
            raise self.wrong(f"expected a mapping, found {type(entry).__name__}")
        unknown = sorted(str(key) for key in entry if key not in known)
        if unknown:
            raise self.wrong(
                f"unknown word {unknown[0]!r}", hint=f"known here: {', '.join(sorted(known))}"
            )
        return entry

    def listed(self, entry: dict[str, Any], key: str) -> list[Any]:
        found = entry.get(key, [])
        if not isinstance(found, list):
            raise self.at(key).wrong("expected a list")
        return found

    def text(self, entry: dict[str, Any], key: str) -> str:
        if not entry.get(key):
            raise self.wrong(f"{key!r} is missing")
        return str(entry[key])

    def one_of(self, key: str, value: Any, allowed: tuple[str, ...]) -> Any:
        if value is not None and value not in allowed:
            raise self.wrong(f"{key} {value!r}", hint=f"one of {', '.join(allowed)}")
        return value


def _section(entry: Any, place: _Place) -> Section:
    entry = place.mapping(entry, _words(Section))
    return Section(
        title=place.text(entry, "title"),
        text=_sentence(entry.get("text", "")),
        tiles=tuple(
            _tile(tile, place.at(f"tiles[{index}]"))
            for index, tile in enumerate(place.listed(entry, "tiles"))
        ),
        panels=tuple(
            _panel(panel, place.at(f"panels[{index}]"))
            for index, panel in enumerate(place.listed(entry, "panels"))
        ),
    )


def _tile(entry: Any, place: _Place) -> Tile:
    entry = place.mapping(entry, _words(Tile))
    place.text(entry, "title")
    place.text(entry, "sql")
    place.one_of("format", entry.get("format"), tuple(NUMBER_FORMATS))
    place.one_of("better", entry.get("better"), BETTER)
    return Tile(**entry)


def _panel(entry: Any, place: _Place) -> Panel:
    entry = dict(place.mapping(entry, _words(Panel)))
    place.text(entry, "title")
    shown = [word for word in ("chart", "table", "status") if entry.get(word)]
    if len(shown) != 1:
        raise place.wrong("a panel shows one of chart, table or status")
    if shown != ["status"]:
        place.text(entry, "sql")
    place.one_of("width", entry.get("width"), WIDTHS)
    entry["text"] = _sentence(entry.get("text", ""))
    if entry.get("chart"):
        entry["chart"] = _chart(entry["chart"], place.at("chart"))
    if entry.get("table"):
        entry["table"] = _columns(entry["table"], place.at("table"))
    return Panel(**entry)


def _chart(entry: Any, place: _Place) -> Chart:
    entry = dict(place.mapping(entry, _words(Chart) | _LAYER_WORDS))
    layers = place.listed(entry, "layers")
    whole = {word: entry[word] for word in ("height", "each") if word in entry}
    common = {word: entry[word] for word in _LAYER_WORDS if word in entry}
    if not layers:
        return Chart((_layer(common, place),), **whole)
    return Chart(
        tuple(
            _layer(
                common | place.mapping(layer, _LAYER_WORDS),
                place.at(f"layers[{index}]"),
            )
            for index, layer in enumerate(layers)
        ),
        **whole,
    )


_CHANNELS = ("x", "y", "x2", "y2", "color", "text")
_LAYER_WORDS = {"mark", "size", *_CHANNELS}


def _layer(entry: dict[str, Any], place: _Place) -> Layer:
    mark = place.one_of("mark", place.text(entry, "mark"), MARKS)
    channels = {
        name: _channel(entry[name], place.at(name)) for name in _CHANNELS if entry.get(name)
    }
    if "x" not in channels and "y" not in channels:
        raise place.wrong("neither x nor y is given")
    return Layer(mark, channels, entry.get("size"))


def _channel(entry: Any, place: _Place) -> Channel:
    if isinstance(entry, str):
        return Channel(entry)
    entry = dict(place.mapping(entry, _words(Channel)))
    place.text(entry, "field")
    place.one_of("format", entry.get("format"), tuple(NUMBER_FORMATS))
    place.one_of("unit", entry.get("unit"), TIME_UNITS)
    entry["order"] = tuple(place.listed(entry, "order"))
    return Channel(**entry)


def _columns(entry: Any, place: _Place) -> tuple[TableColumn, ...]:
    if not isinstance(entry, dict):
        raise place.wrong("expected the columns as `field: title` or `field: {title, format}`")
    columns = []
    for name, said in entry.items():
        if isinstance(said, str):
            columns.append(TableColumn(str(name), said))
            continue
        here = place.at(str(name))
        said = here.mapping(said, {"title", "format"})
        here.one_of("format", said.get("format"), tuple(NUMBER_FORMATS))
        columns.append(TableColumn(str(name), here.text(said, "title"), said.get("format")))
    return tuple(columns)


def _words(cls: type) -> set[str]:
    return {known.name for known in dataclasses.fields(cls)}


def _sentence(value: Any) -> str:
    return " ".join(str(value).split())
