"""Reading a request's body: of a type that can be read, no longer than it may be, and in time."""

from __future__ import annotations

import asyncio

from fastapi import Request

from ingestion.gateway.answers import Refused

JSON = "application/json"
#: A batch as lines: one that is broken leaves the others whole.
LINES = "application/x-ndjson"

#: A client that sends its body more slowly is not waited for.
READ_SECONDS = 30.0


def content_type(request: Request, allowed: tuple[str, ...]) -> str:
    """The body's media type, one of `allowed`.

    Raises:
        Refused: 415, another type, another character set than UTF-8, or a compressed body.
    """
    told = request.headers.get("content-type", "")
    kind, *parameters = (part.strip().lower() for part in told.split(";"))
    if kind not in allowed:
        reason = f"the content type is {told[:100]!r}; send {' or '.join(allowed)}"
        raise Refused.because(415, reason, of="Content-Type", Accept_Post=", ".join(allowed))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in ("utf-8", "utf8"):
            raise Refused.because(415, "JSON is sent in UTF-8", of="Content-Type")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        reason = f"a body in the encoding {encoding[:50]!r} is not read; send it as it is"
        raise Refused.because(415, reason, of="Content-Encoding", Accept_Encoding="identity")
    return kind


async def read_body(request: Request, most: int) -> bytes:
    """The body, of at most `most` bytes.

    Raises:
        Refused: 413 it is longer, 408 it does not come, 400 its length is none.
    """
    told = request.headers.get("content-length")
    if told is not None:
        if not (told.isascii() and told.isdigit()):
            raise Refused.because(400, "is no number", of="Content-Length")
        if int(told[:20]) > most:
            raise _too_long(most)
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await _read(request, most)
    except TimeoutError:
        reason = f"the body did not come within {READ_SECONDS:.0f} s"
        raise Refused.because(408, reason, Connection="close") from None


async def _read(request: Request, most: int) -> bytes:
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise _too_long(most)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_long(most: int) -> Refused:
    # the rest is not read, so the connection cannot carry another request
    return Refused.because(413, f"the body is longer than {most:,} bytes", Connection="close")
