"""RSS 0.9x, 1.0 and 2.0, and Atom: the same fields of an entry, whichever a feed is written in.

Feeds come from anybody: a document type, which could define entities that grow without bound or
read files, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ingestion.external.mapping import moment

_DEEPEST = 200

# names are compared without their namespace, except where a feed mixes two of the same name
_ATOM = "http://www.w3.org/2005/Atom"
_XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_ABOUT = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about"

_TIMES = {
    "published": ("published", "pubDate", "issued", "date"),
    "updated": ("updated", "modified", "lastBuildDate"),
}


class InvalidFeed(ValueError):
    """What was sent is no feed."""


def read_feed(content: bytes) -> dict[str, Any]:
    """A feed's `title`, `link`, `language` and `entries`; what is not there is None.

    An entry has `id`, `title`, `link`, `summary`, `content`, `author`, `language` (its own or the
    feed's), `published` and `updated` (ISO 8601, UTC; None where it is no time), `categories`.
    Texts are as the feed has them, HTML included.

    Raises:
        InvalidFeed: no XML, no feed, or with a document type.
    """
    root = _parsed(content)
    kind = _local(root)
    if kind == "feed":
        head, items = root, _children(root, "entry")
    elif kind == "rss":
        head = next(_children(root, "channel"), root)
        items = _children(head, "item")
    elif kind == "RDF":
        head = next(_children(root, "channel"), root)
        items = _children(root, "item")
    else:
        raise InvalidFeed(f"is no feed: its root is {kind[:50]!r}")
    language = _text(head, "language") or root.get(_XML_LANGUAGE) or head.get(_XML_LANGUAGE)
    return {
        "title": _text(head, "title"),
        "link": _link(head),
        "language": language,
        "entries": [_entry(item, language) for item in items],
    }


def _entry(item: Element, language: str | None) -> dict[str, Any]:
    author = next(_children(item, "author"), None)
    return {
        "id": _text(item, "guid") or _text(item, "id") or item.get(_ABOUT),
        "title": _text(item, "title"),
        "link": _link(item),
        "summary": _text(item, "summary") or _text(item, "description"),
        "content": _text(item, "encoded") or _text(item, "content", own=True),
        "author": _text(item, "creator")
        or (None if author is None else _text(author, "name") or _own_text(author)),
        "language": item.get(_XML_LANGUAGE) or _text(item, "language") or language,
        "published": _time(item, "published"),
        "updated": _time(item, "updated"),
        "categories": [
            name
            for category in _children(item, "category")
            if (name := category.get("term") or _own_text(category))
        ],
    }


def _time(item: Element, which: str) -> str | None:
    for name in _TIMES[which]:
        text = _text(item, name)
        found = moment(text) if text else None
        if found is not None:
            return found.isoformat(timespec="milliseconds") + "Z"
    return None


def _link(element: Element) -> str | None:
    """RSS writes a link as text, Atom as an attribute and several of them."""
    found = None
    for link in _children(element, "link"):
        href, text = link.get("href"), _own_text(link)
        if link.tag.startswith(f"{{{_ATOM}}}") or href:
            if href and link.get("rel", "alternate") == "alternate":
                found = found or href.strip()
        elif text:
            return text
    return found


def _text(element: Element, name: str, own: bool = False) -> str | None:
    for child in _children(element, name):
        text = _own_text(child)
        if text and (not own or _space(child) == _space(element)):
            return text
    return None


def _own_text(element: Element) -> str | None:
    return "".join(element.itertext()).strip() or None


def _children(element: Element, name: str) -> Iterator[Element]:
    """Children of a name: first those of the feed's own kind, then those of other namespaces."""
    own = _space(element)
    found = [child for child in element if _local(child) == name]
    yield from (child for child in found if _space(child) == own)
    yield from (child for child in found if _space(child) != own)


def _local(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def _space(element: Element) -> str:
    return element.tag.rpartition("}")[0]


def _parsed(content: bytes) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    depth = 0

    def name(given: str) -> str:
        return "{" + given if "}" in given else given

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise InvalidFeed(f"is nested deeper than {_DEEPEST} levels")
        builder.start(name(tag), {name(key): value for key, value in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name(tag))

    def refuse(*_: object) -> None:
        raise InvalidFeed("has a document type, which feeds do not need and attackers do")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        # some servers send blank lines before the declaration
        parser.Parse(content.lstrip(b" \t\r\n"), True)
        return builder.close()
    except expat.ExpatError as error:
        raise InvalidFeed(f"is no XML: {error}") from None
    except (LookupError, ValueError, AssertionError) as error:
        if isinstance(error, InvalidFeed):
            raise
        raise InvalidFeed(f"is no XML: {error}") from None
