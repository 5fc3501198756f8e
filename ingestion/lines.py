"""Files of lines, plain or gzipped, in parts of bounded size whatever the lines hold."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import pyarrow as pa

#: Bytes of text that are handed on at a time, and that are read at a time.
PART = 64 << 20
_BLOCK = 2 << 20
#: A longer line is not held in memory; what of it is kept as evidence.
LONGEST_LINE = 64 << 20
_EVIDENCE = 10_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

#: What a line can be marked with: it is given as far as it could be read.
NOT_UTF8 = "the line is not UTF-8 text"
TOO_LONG = f"the line is longer than {LONGEST_LINE >> 20} MiB"
CUT_SHORT = "the file ends within this line"
DAMAGED = "the file is damaged or cut short from here on: it cannot be decompressed"

SCHEMA = pa.schema([("number", pa.int64()), ("line", pa.string()), ("mark", pa.string())])


@dataclass
class _Part:
    """Lines on their way into a table."""

    arrays: list[pa.Table]
    size: int = 0

    def add(self, number: int, lines: list[bytes], mark: str | None = None) -> None:
        if not lines:
            return
        numbers = pa.array(range(number, number + len(lines)), pa.int64())
        marks: pa.Array = pa.array([mark] * len(lines), pa.string()) if mark else None
        try:
            text = pa.array(lines, pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            decoded = [_decoded(line) for line in lines]
            text = pa.array([line for line, _ in decoded], pa.string())
            marks = pa.array([mark or found for _, found in decoded], pa.string())
        if marks is None:
            marks = pa.nulls(len(lines), pa.string())
        self.arrays.append(pa.table([numbers, text, marks], schema=SCHEMA))
        self.size += text.nbytes

    def table(self) -> pa.Table:
        return pa.concat_tables([SCHEMA.empty_table(), *self.arrays])


def read_lines(path: Path, size: int = PART) -> Iterator[pa.Table]:
    """The lines of a file in tables of about `size` bytes: `number` (from 1), `line`, `mark`.

    `mark` is NULL or says what is wrong with the line. A last line without its end is marked
    `CUT_SHORT`, which is for the reader to judge: it may be whole.
    """
    part, number, rest = _Part([]), 1, b""
    skipping = False  # within a line that is too long
    for block in _blocks(path):
        if block is None:
            part.add(number, [rest[:_EVIDENCE]], DAMAGED)
            number, rest = number + 1, b""
            break
        if skipping:
            end = block.find(b"\n")
            if end < 0:
                continue
            block, skipping = block[end + 1 :], False
        rest += block
        end = rest.rfind(b"\n")
        if end >= 0:
            lines = rest[:end].split(b"\n")
            rest = rest[end + 1 :]
            part.add(number, lines)
            number += len(lines)
        if len(rest) > LONGEST_LINE:
            part.add(number, [rest[:_EVIDENCE]], TOO_LONG)
            number, rest, skipping = number + 1, b"", True
        if part.size >= size:
            yield part.table()
            part = _Part([])
    if rest.strip():
        part.add(number, [rest], CUT_SHORT)
    if part.arrays:
        yield part.table()


def _blocks(path: Path) -> Iterator[bytes | None]:
    """The file's bytes; None at the end where they cannot be decompressed to the end."""
    with path.open("rb") as plain:
        file = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
        first = True
        while True:
            block, whole = _read(file)
            if block:
                yield block.removeprefix(_BYTE_ORDER_MARK) if first else block
            first = False
            if not whole:
                yield None
            if not (block and whole):
                return


def _read(file: gzip.GzipFile | BufferedReader) -> tuple[bytes, bool]:
    """The next bytes of a file, and whether they could all be read; empty at its end."""
    pieces, size = [], 0
    try:
        while size < _BLOCK and (piece := file.read1(_BLOCK - size)):
            pieces.append(piece)
            size += len(piece)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return b"".join(pieces), False
    return b"".join(pieces), True


def _decoded(line: bytes) -> tuple[str, str | None]:
    try:
        return line.decode(), None
    except UnicodeDecodeError:
        return line.decode(errors="backslashreplace"), NOT_UTF8
