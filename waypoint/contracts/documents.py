"""YAML that says where everything stands, and that a hostile file cannot use against its reader.

Contracts come from pull requests of anybody, so a file is refused before it can do harm: not
UTF-8, too large, nested or aliased beyond reason, keys written twice, tags that name code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import yaml

from waypoint.errors import UnusableInput

#: No contract comes near these; a file beyond them was not written to be read.
LARGEST_FILE = 2_000_000  # bytes
LARGEST_DOCUMENT = 200_000  # values, every alias counted as what it stands for
DEEPEST_NESTING = 60
LONGEST_NUMBER = 200  # characters

_SAFE_DEPTH = 500  # what the YAML library's recursion stands easily
_WRITE_OUT = "write out what the aliases (*name) stand for"
_FLATTEN = "a contract is never nested like this: look at brackets and indentation"


class InvalidContract(UnusableInput):
    """A contract file that cannot be read; the message names the file, the line and the mend.

    `line` and `problem` say the same apart from each other.
    """

    def __init__(self, message: str, hint: str = "", line: int = 1, problem: str = "") -> None:
        super().__init__(message, hint)
        self.line = line
        self.problem = problem or message


class Entry(dict[str, Any]):
    """A mapping of a YAML file, and the lines (from 1) that it and its keys stand on."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[Any, int] = {}

    def line_of(self, key: Any) -> int:
        return self.lines.get(key, self.line)


class Misread(ValueError):
    """What is wrong at a line of the file that is being read."""

    def __init__(self, line: int, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.line = line
        self.hint = hint


def read_document(path: Path, data: bytes | None = None) -> Entry:
    """The mapping that a YAML file holds; `data` are its bytes where they do not stand at `path`.

    Raises:
        InvalidContract: not one mapping in YAML, or more than a contract can be.
    """
    if data is None:
        data = _bytes(path)
    try:
        document = _document(_text(data))
    except Misread as error:
        raise invalid(path, error) from None
    return document


def invalid(path: Path, error: Misread) -> InvalidContract:
    """The error about a line of a file, in the words of all of them."""
    what = str(error)
    return InvalidContract(f"{path}, line {error.line}: {what}", error.hint, error.line, what)


@contextmanager
def reading(entry: Any) -> Iterator[None]:
    """Errors of reading `entry`, told with its line."""
    try:
        yield
    except Misread:
        raise
    except KeyError as error:
        what = f"{error.args[0]!r} is missing"
        raise Misread(_line(entry), what, f"add `{error.args[0]}: ...` here") from None
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise Misread(_line(entry), str(error)) from None


def entries(parent: Mapping[str, Any], key: str) -> list[Entry]:
    """The list of mappings under `key`; empty where there is none.

    Raises:
        Misread: it is something else.
    """
    found = parent.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, Entry) for item in found):
        line = parent.line_of(key) if isinstance(parent, Entry) else _line(parent)
        raise Misread(line, f"{key!r} is not a list of mappings", f"write `{key}:` and `- ...`")
    return cast(list[Entry], found)


def mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping under `key`; empty where there is none.

    Raises:
        Misread: it is something else.
    """
    found = parent.get(key)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        line = parent.line_of(key) if isinstance(parent, Entry) else _line(parent)
        raise Misread(line, f"{key!r} is not a mapping", f"write `{key}:` and `name: value` below")
    return found


def _line(entry: Any) -> int:
    return entry.line if isinstance(entry, Entry) else 1


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # a pipe or a device never ends
            raise InvalidContract(
                f"{path}, line 1: is no file", hint="put a file there, or take it away"
            )
        if path.stat().st_size > LARGEST_FILE:
            raise InvalidContract(
                f"{path}, line 1: larger than {LARGEST_FILE:,} bytes; no contract is",
                hint="look whether it is a contract at all",
            )
        return path.read_bytes()
    except OSError as error:
        raise InvalidContract(f"{path}: cannot be read: {error.strerror}") from None


def _text(data: bytes) -> str:
    if len(data) > LARGEST_FILE:
        raise Misread(1, f"larger than {LARGEST_FILE:,} bytes; no contract is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{data[error.start]:02x}"
        raise Misread(line, f"not UTF-8 ({byte})", "save the file as UTF-8 text") from None


def _document(text: str) -> Entry:
    try:
        _refuse_deep_nesting(text)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise Misread(1, "the file is empty", "write the contract, or remove the file")
            if "&" in text:  # without anchors there are no aliases
                _Measure().measure(node)
            document = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, max(error.position, 0)) + 1
        what = "a character that no text has; this looks like a binary file"
        raise Misread(line, what, "save the contract as UTF-8 text") from None
    except yaml.MarkedYAMLError as error:
        raise _yaml_error(error) from None
    except (ValueError, OverflowError) as error:  # e.g. a date that no calendar has
        if isinstance(error, Misread):
            raise
        raise Misread(1, f"not readable as YAML: {error}") from None
    if not isinstance(document, Entry):
        kind = "a list" if isinstance(document, list) else "a single value"
        raise Misread(1, f"holds {kind}, not a contract", "see the example in contracts/README.md")
    return document


def _refuse_deep_nesting(text: str) -> None:
    """Composing is recursive, in C: nesting is counted first, where there can be much of it."""
    brackets = text.count("[") + text.count("{")
    if brackets < _SAFE_DEPTH and max(map(len, text.split("\n"))) < _SAFE_DEPTH:
        return  # every level needs a bracket, or a column of its own
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST_NESTING:
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise Misread(line, f"nested deeper than {DEEPEST_NESTING} levels", _FLATTEN)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _yaml_error(error: yaml.MarkedYAMLError) -> Misread:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    problem = error.problem or error.context or "unknown error"
    if "could not determine a constructor" in problem:
        hint = "a contract is plain YAML: take the tag (!...) away"
    elif "expected a single document" in (error.context or ""):
        problem, hint = "a second document (---) begins", "one contract per file"
    else:
        hint = "mend the YAML: look at indentation, quotes and colons"
    return Misread(line, f"not readable as YAML: {problem}", hint)


class _Measure:
    """Refuses documents that aliases blow up: counted without ever being unfolded."""

    def __init__(self) -> None:
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def measure(self, node: yaml.Node, depth: int = 1) -> int:
        key = id(node)
        if key in self._open:
            raise Misread(node.start_mark.line + 1, "an alias that holds itself", _WRITE_OUT)
        if key not in self._sizes:
            if depth > DEEPEST_NESTING:
                line = node.start_mark.line + 1
                raise Misread(line, f"nested deeper than {DEEPEST_NESTING} levels", _FLATTEN)
            self._open.add(key)
            size = 1 + sum(self.measure(child, depth + 1) for child in _children(node))
            self._open.discard(key)
            if size > LARGEST_DOCUMENT:
                what = f"stands for more than {LARGEST_DOCUMENT:,} values; no contract does"
                raise Misread(node.start_mark.line + 1, what, _WRITE_OUT)
            self._sizes[key] = size
        return self._sizes[key]


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain YAML into entries that know their lines; a key written twice is refused."""


def _entry(loader: Any, node: yaml.MappingNode) -> Iterator[Entry]:
    entry = Entry(node.start_mark.line + 1)
    yield entry
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise Misread(line, "a key that is not a word", "write `name: value`")
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node)
        if key in entry.lines:
            what = f"{key!r} is written twice; the first time on line {entry.lines[key]}"
            raise Misread(line, what, "keep the one that is meant")
        entry.lines[key] = line
    entry.update(loader.construct_mapping(node))


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    if len(node.value) > LONGEST_NUMBER:
        what = f"a number of more than {LONGEST_NUMBER} digits"
        raise Misread(node.start_mark.line + 1, what, "put it in quotes if it is a text")
    return int(loader.construct_yaml_int(node))


_Loader.add_constructor("tag:yaml.org,2002:map", _entry)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)
