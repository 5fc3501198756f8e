"""Taking CSV files apart: rows with the line they start on, and what is wrong with the others.

Nothing is guessed away. A line that cannot be taken apart is a row with a problem and the reading
goes on with the next line; only a file without a usable header is a problem as a whole.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from ingestion.validation import PROBLEM, PROBLEM_FIELDS
from waypoint.contracts.model import Contract

#: A row may span this many lines and characters: a quote that nobody closes must not eat the file.
MOST_LINES = 1_000
MOST_CHARACTERS = 16_000_000
#: Rows and characters that are handed on at a time.
_CHUNK_ROWS = 100_000
_CHUNK_CHARACTERS = 64_000_000

_BLOCK = 1 << 22
_DELIMITERS = ",;\t|"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_DECODED = "\ufffd"  # what stands for bytes that are not in the file's encoding
PROBLEM_TYPE = pa.struct([(name, pa.string()) for name in PROBLEM_FIELDS])

Problem = tuple[str | None, str | None, str, str]  # field, value, rule, reason


class UnusableFile(Exception):
    """No row of the file can be read; `rule` and the message say why, `header` what stood there."""

    def __init__(self, rule: str, reason: str, header: str = "") -> None:
        super().__init__(reason)
        self.rule = rule
        self.header = header


@dataclass(frozen=True)
class Text:
    """How a file's bytes are text: found out in one pass, which also gives the content's hash."""

    encoding: str
    content: str  # 24 hexadecimal digits
    odd: bool  # whether there are bytes outside the encoding, or NUL characters, somewhere in it


@dataclass(frozen=True)
class Header:
    """The columns of a file in their order, by the contract's names; None for unknown ones."""

    columns: tuple[str | None, ...]
    drift: tuple[str, ...]  # in people's words


def text_of(path: Path, encoding: str | None = None) -> Text:
    """The encoding of the file at `path`, unless it is given, and the hash of its content.

    UTF-8 and UTF-16 are told by their marks or their bytes; text that is not UTF-8 is taken for
    Windows-1252, or Latin-1 where it is not that either.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        start = file.read(4096)
        found = encoding or _by_first_bytes(start)
        check = codecs.getincrementaldecoder(found)("replace")
        odd = whole = broken = 0
        file.seek(0)
        while block := file.read(_BLOCK):
            digest.update(block)
            text = check.decode(block)
            odd += text.count("\0")
            if not text.isascii():
                broken += text.count(_NOT_DECODED)
                if broken:
                    whole += sum(character > "\x7f" for character in text)
        broken += check.decode(b"", True).count(_NOT_DECODED)
    content = digest.hexdigest()[:24]
    # bytes that are not UTF-8 in a text with hardly any that are: it never was UTF-8
    if broken and encoding is None and found == "utf-8" and whole < 2 * broken:
        return Text(_one_byte_encoding(path), content, bool(odd))
    return Text(found, content, bool(odd or broken))


def _by_first_bytes(start: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    # every other byte of Western text in UTF-16 is NUL
    if start[1::2].count(0) > len(start) // 4 and not start[0::2].count(0):
        return "utf-16-le"
    if start[0::2].count(0) > len(start) // 4 and not start[1::2].count(0):
        return "utf-16-be"
    return "utf-8"


def _one_byte_encoding(path: Path) -> str:
    check = codecs.getincrementaldecoder("cp1252")()
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                check.decode(block)
        except UnicodeDecodeError:
            return "latin-1"
    return "cp1252"


def read_rows(
    path: Path, text: Text, contract: Contract, delimiter: str | None = None
) -> Iterator[tuple[Header, pa.Table]]:
    """The rows of a CSV file in tables of bounded size, at least one, with its header.

    A table has the file's known columns as text, `_line` (where the row starts; the header is
    line 1), and for rows that could not be taken apart `_problem` and `_payload` (the line).

    Raises:
        UnusableFile: no usable header; nothing of the file can be read.
    """
    csv.field_size_limit(MOST_CHARACTERS)
    with path.open(encoding=text.encoding, errors="replace", newline="") as file:
        lines = _Lines(file)
        delimiter = delimiter or _delimiter(lines, contract)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header = _header(lines, reader, contract)
        yield from ((header, table) for table in _tables(lines, delimiter, header, text.odd))


class _Lines:
    """The lines of a file, counted; the lines of the current row can be gone through again."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._again: deque[str] = deque()
        self.number = 0  # of the line that was given last
        self.row: list[str] = []  # the lines since the last `clear`
        self.characters = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline(MOST_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        self.row.append(line)
        if len(self.row) > MOST_LINES:
            raise csv.Error(f"a quote is not closed within {MOST_LINES:,} lines")
        self.characters += len(line)
        return line

    def peek(self) -> str:
        """The next line, which stays the next one; empty at the end."""
        if not self._again:
            line = self._file.readline(MOST_CHARACTERS)
            if not line:
                return ""
            self._again.append(line)
        return self._again[0]

    def give_up(self) -> tuple[int, str]:
        """Number and text of the row's first line; the lines after it come again."""
        first, *rest = self.row
        number = self.number - len(rest)
        self._again.extendleft(reversed(rest))
        self.number = number
        self.row.clear()
        return number, first


def _delimiter(lines: _Lines, contract: Contract) -> str:
    """The delimiter that makes the most known columns out of the first line."""
    first = lines.peek()
    known = {_folded(column.name) for column in contract.source_columns}

    def found(delimiter: str) -> int:
        return sum(_folded(cell.strip('"')) in known for cell in first.split(delimiter))

    return max(_DELIMITERS, key=found)  # the first one where they are equal


def _header(lines: _Lines, reader: Iterator[list[str]], contract: Contract) -> Header:
    try:
        cells = next(reader)
    except StopIteration:
        raise UnusableFile("file_is_not_empty", "the file is empty") from None
    except csv.Error as error:
        _, line = lines.give_up()
        raise UnusableFile(
            "file_has_a_header", f"the header cannot be read: {error}", line
        ) from None
    shown = "".join(lines.row).strip()
    lines.row.clear()
    known = {_folded(column.name): column.name for column in contract.source_columns}
    columns = [known.get(_folded(cell)) for cell in cells]
    given = [name for name in columns if name]
    if not given:
        raise UnusableFile(
            "file_has_a_header",
            f"the first line names no column of {contract.name}"
            f" (expected {', '.join(known.values())})",
            shown,
        )
    for name in dict.fromkeys(given):
        if given.count(name) > 1:
            raise UnusableFile(
                "columns_stand_once", f"column {name} stands {given.count(name)} times", shown
            )
    missing = [column for column in contract.source_columns if column.name not in given]
    required = [column.name for column in missing if column.required]
    if required:
        raise UnusableFile("columns_are_there", f"missing columns: {', '.join(required)}", shown)
    unknown = [cell for cell, name in zip(cells, columns, strict=True) if name is None]
    return Header(
        tuple(columns),
        (
            *(f"column {cell!r} is not in the contract" for cell in unknown),
            *(f"column {column.name!r} is not in the file" for column in missing),
        ),
    )


def _folded(name: str) -> str:
    return name.strip().strip("\ufeff").casefold().replace(" ", "_").replace("-", "_")


def _tables(lines: _Lines, delimiter: str, header: Header, odd: bool) -> Iterator[pa.Table]:
    rows: list[list[str]] = []
    numbers: list[int] = []
    problems: list[tuple[int, str, Problem]] = []
    width = len(header.columns)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    given = False
    while True:
        before = lines.number
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            number, line = lines.give_up()
            problems.append((number, line, (None, None, "row_is_csv", f"not CSV: {error}")))
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        problem = None
        if len(cells) != width:
            if not any(cell.strip() for cell in cells):
                lines.row.clear()
                continue  # a blank line is no row
            problem = _ragged(len(cells), width)
        elif odd:
            problem = _undecoded(cells, header)
        if problem is None:
            rows.append(cells)
            numbers.append(before + 1)
        else:
            problems.append((before + 1, "".join(lines.row), problem))
        lines.row.clear()
        if len(rows) + len(problems) >= _CHUNK_ROWS or lines.characters >= _CHUNK_CHARACTERS:
            yield _table(header, rows, numbers, problems)
            given = True
            rows, numbers, problems = [], [], []
            lines.characters = 0
    if rows or problems or not given:
        yield _table(header, rows, numbers, problems)


def _ragged(cells: int, width: int) -> Problem:
    return (None, None, "row_has_all_fields", f"{cells} fields, but the header has {width}")


def _undecoded(cells: Sequence[str], header: Header) -> Problem | None:
    for name, cell in zip(header.columns, cells, strict=True):
        if _NOT_DECODED in cell:
            return (name, cell, "text_is_decodable", "bytes that are not in the file's encoding")
        if "\0" in cell:
            return (name, cell.replace("\0", "\\0"), "text_has_no_nul", "a NUL character")
    return None


def _table(
    header: Header,
    rows: list[list[str]],
    numbers: list[int],
    problems: list[tuple[int, str, Problem]],
) -> pa.Table:
    bad = len(problems)
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(header.columns)
    columns = {
        name: pa.array([*values, *[None] * bad], pa.string())
        for name, values in zip(header.columns, cells, strict=True)
        if name is not None
    }
    columns["_line"] = pa.array([*numbers, *(number for number, _, _ in problems)], pa.int64())
    columns["_payload"] = pa.concat_arrays(
        [pa.nulls(len(rows), pa.string()), pa.array([line for _, line, _ in problems], pa.string())]
    )
    columns[PROBLEM] = pa.concat_arrays(
        [
            pa.nulls(len(rows), PROBLEM_TYPE),
            pa.array(
                [dict(zip(PROBLEM_FIELDS, found, strict=True)) for _, _, found in problems],
                PROBLEM_TYPE,
            ),
        ]
    )
    return pa.table(columns)


def problem_table(rule: str, reason: str, line: str = "") -> pa.Table:
    """A table with one row for a file that cannot be used, `line` being what it begins with."""
    header = Header((), ())
    return _table(header, [], [], [(1, line, (None, None, rule, reason))])
