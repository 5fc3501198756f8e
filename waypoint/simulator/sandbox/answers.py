"""Answers of a sandbox: rows of a query as pages of JSON and as feeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from xml.sax.saxutils import escape

from waypoint.simulator.sandbox.routes import Pages, Route


@dataclass(frozen=True)
class Page:
    """An answer: a status, a body, and headers."""

    status: int
    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def refused(status: int, message: str) -> Page:
    """An error in JSON."""
    return Page(status, json.dumps({"error": {"code": status, "message": message}}).encode())


def answer(
    route: Route, rows: Sequence[Mapping[str, Any]], asked: Mapping[str, str], address: str
) -> Page:
    """The answer of a route to what was `asked`; `address` is that of the request, without query.

    The first folder of its path is the host that is stood for.

    Raises:
        ValueError: a parameter that tells the page is no number.
    """
    if route.shape in ("rss", "atom"):
        write = _rss if route.shape == "rss" else _atom
        original = f"https://{address.split('/', 3)[3]}"
        return Page(200, write(rows, original).encode(), f"application/{route.shape}+xml")
    items = [json.loads(row["item"]) for row in rows]
    if route.shape == "one":
        if not items:
            return refused(404, "nothing is known of it")
        return _json({**route.around, **items[0]})
    headers: dict[str, str] = {}
    if route.paging is not None:
        items, headers = _page(route.paging, items, asked, address)
    return _json(_within(route, items), headers)


def _within(route: Route, items: list[Any]) -> Any:
    if not route.within:
        return items
    found: Any = items
    for name in reversed(route.within.split(".")):
        found = {name: found}
    return {**route.around, **found}


def _page(
    paging: Pages, items: list[Any], asked: Mapping[str, str], address: str
) -> tuple[list[Any], dict[str, str]]:
    size = paging.size
    if paging.size_parameter and paging.size_parameter in asked:
        size = min(max(int(asked[paging.size_parameter]), 1), paging.most)
    given = asked.get(paging.parameter)
    start = 0
    if paging.style == "page":
        start = (max(int(given or 1), 1) - 1) * size
    elif paging.style == "offset":
        start = max(int(given or 0), 0)
    elif given is not None:
        ids = [str(item.get("id")) for item in items]
        start = ids.index(given) + 1 if given in ids else len(items)
    page = items[start : start + size]
    if paging.style == "link" and page and start + size < len(items):
        query = f"{paging.parameter}={page[-1]['id']}"
        if paging.size_parameter:
            query = f"{paging.size_parameter}={size}&{query}"
        return page, {"Link": f'<{address}?{query}>; rel="next"'}
    return page, {}


def _json(document: Any, headers: Mapping[str, str] | None = None) -> Page:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return Page(200, text.encode(), headers=headers or {})


def _rss(rows: Sequence[Mapping[str, Any]], address: str) -> str:
    items = "".join(
        "<item>"
        + _element("title", row["title"])
        + _element("link", row["link"])
        + _element("description", row["summary"])
        + f'<guid isPermaLink="false">{escape(str(row["id"]))}</guid>'
        + _element("pubDate", format_datetime(_zoned(row["published"]), usegmt=True))
        + "</item>\n"
        for row in rows
    )
    language = _element("language", rows[0]["language"]) if rows else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel>'
        f"{_element('title', address)}{_element('link', address)}{language}\n{items}"
        "</channel></rss>\n"
    )


def _atom(rows: Sequence[Mapping[str, Any]], address: str) -> str:
    entries = "".join(
        "<entry>"
        + _element("title", row["title"])
        + _element("id", row["id"])
        + f'<link rel="alternate" href="{escape(str(row["link"]), {chr(34): "&quot;"})}"/>'
        + _element("summary", row["summary"])
        + _element("published", _zoned(row["published"]).isoformat())
        + _element("updated", _zoned(row["published"]).isoformat())
        + "</entry>\n"
        for row in rows
    )
    language = f' xml:lang="{escape(str(rows[0]["language"]))}"' if rows else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<feed xmlns="http://www.w3.org/2005/Atom"{language}>{_element("title", address)}'
        f"{_element('id', address)}\n{entries}</feed>\n"
    )


def _element(name: str, value: Any) -> str:
    return "" if value is None else f"<{name}>{escape(str(value))}</{name}>"


def _zoned(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
