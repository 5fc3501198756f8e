"""A YAML file of entries, taken apart key by key, for where it is no YAML as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_KEY = re.compile(r"([A-Za-z_][\w-]*)\s*:")


@dataclass(frozen=True)
class Broken:
    """An entry of a file that cannot be understood: its line, and what is wrong, file and all."""

    name: str
    line: int
    problem: str
    missing: tuple[str, ...] = ()  # variables that it names and that are not set


def blocks(path: Path) -> Iterator[tuple[str, int, bytes]]:
    """The parts of a file that begin with a key at the start of a line: name, line and text.

    Empty lines before the text keep line numbers as they are in the file.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = [
        (number, match[1]) for number, line in enumerate(lines) if (match := _KEY.match(line))
    ]
    ends = [start for start, _ in starts[1:]] + [len(lines)]
    for (start, name), end in zip(starts, ends, strict=False):
        text = "\n" * start + "\n".join(lines[start:end]) + "\n"
        yield name, start + 1, text.encode()
