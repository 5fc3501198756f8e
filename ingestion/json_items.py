"""Taking the records out of a JSON page as they were sent, to the character."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

_BLANK = re.compile(r"[ \t\n\r]*")
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True)
class Page:
    """The records of one page: parsed, and as text; and the other fields of the page."""

    items: tuple[Any, ...]
    texts: tuple[str, ...]
    fields: dict[str, Any]


def read_page(text: str, name: str | None) -> Page:
    """Take a page apart whose records stand in the array `name`, or which is an array itself.

    Raises:
        ValueError: not JSON, or without such an array.
    """
    start = _skip(text, 0)
    if name is None:
        items, texts, end = _array(text, start)
        fields: dict[str, Any] = {}
    else:
        found = None
        fields = {}
        end = _expect(text, start, "{")
        while True:
            end = _skip(text, end)
            if text[end : end + 1] == "}" and not fields and found is None:
                break
            field, end = scanstring(text, _expect(text, end, '"'))
            end = _skip(text, _expect(text, _skip(text, end), ":"))
            if field == name and text[end : end + 1] == "[":
                *found, end = _array(text, end)
            else:
                fields[field], end = _decode(text, end)
            end = _skip(text, end)
            if text[end : end + 1] != ",":
                break
            end += 1
        end = _expect(text, end, "}")
        if found is None:
            raise ValueError(f"has no list {name!r}")
        items, texts = found
    if _skip(text, end) != len(text):
        raise ValueError("goes on after its end")
    return Page(tuple(items), tuple(texts), fields)


def _array(text: str, start: int) -> tuple[list[Any], list[str], int]:
    items: list[Any] = []
    texts: list[str] = []
    end = _skip(text, _expect(text, start, "["))
    if text[end : end + 1] == "]":
        return items, texts, end + 1
    while True:
        begin = _skip(text, end)
        item, end = _decode(text, begin)
        items.append(item)
        texts.append(text[begin:end])
        end = _skip(text, end)
        if text[end : end + 1] != ",":
            return items, texts, _expect(text, end, "]")
        end += 1


def _skip(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    assert match is not None
    return match.end()


def _expect(text: str, place: int, character: str) -> int:
    if text[place : place + 1] != character:
        raise ValueError(f"has {text[place : place + 10]!r} where {character!r} was expected")
    return place + 1
