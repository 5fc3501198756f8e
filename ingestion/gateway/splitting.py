"""Taking a batch apart into the texts of its events, without reading or changing them.

An event is sent on byte for byte: a parser and a writer would round its numbers. What is wrong
within one event is found when that event is checked, so it does not touch its neighbours.
"""

from __future__ import annotations

import re

import msgspec

from ingestion.gateway.answers import Refused

_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
#: What the structure of a JSON text is made of: strings, brackets and commas.
_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},"]', re.DOTALL)
_BLANK = b" \t\r\n"


def split_list(body: bytes) -> list[bytes]:
    """The items of a JSON list.

    Raises:
        Refused: 400, it is no list whose items could be told apart.
    """
    try:
        return [bytes(item) for item in _ITEMS.decode(body)]
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        # something in it is no JSON: slower, and only as strict as it needs to be
        return _split_loosely(body)


def split_lines(body: bytes) -> list[bytes]:
    """The lines that are not blank."""
    return [line for line in (line.strip(_BLANK) for line in body.split(b"\n")) if line]


def _split_loosely(body: bytes) -> list[bytes]:
    """Take a list apart by its brackets and commas alone."""
    text = body.strip(_BLANK)
    if not text.startswith(b"["):
        raise Refused.because(400, "the body is no JSON list of events")
    items: list[bytes] = []
    depth, start = 0, 1
    for token in _TOKENS.finditer(text):
        sign = token[0]
        if sign == b'"':
            raise Refused.because(400, "the body is no JSON: a text in it has no end")
        if sign in (b"[", b"{"):
            depth += 1
        elif sign in (b"]", b"}"):
            depth -= 1
        if (depth == 1 and sign == b",") or depth == 0:
            items.append(text[start : token.start()].strip(_BLANK))
            start = token.end()
        if depth == 0:
            if sign == b"}":
                depth = -1
            break
    if depth != 0 or start != len(text):
        raise Refused.because(400, "the body is no JSON list: its brackets do not match")
    return [] if items == [b""] else items
