"""Jars are what their list says, or they are not used."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from waypoint.errors import Unavailable, UnusableInput
from waypoint.services import jars

GOOD = b"what was locked"
SHA = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository on loopback, a cache of the test's own, and lists of its own."""
    root = tmp_path / "repository"
    root.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(root))

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    lists = tmp_path / "lists"
    lists.mkdir()
    monkeypatch.setattr(jars, "_LISTS", lists)
    (lists / "one.txt").write_text(f"# one file\norg.example:thing:1.0 {SHA}\n")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setenv(jars.REPOSITORY_VARIABLE, address)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield root / "org" / "example" / "thing" / "1.0" / "thing-1.0.jar"
        server.shutdown()
        thread.join()


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_jar_is_fetched_once(repository: Path) -> None:
    put(repository, GOOD)
    (first,) = jars.jars("one")
    repository.unlink()
    assert jars.jars("one") == [first]
    assert first.read_bytes() == GOOD
    assert first.name == "thing-1.0.jar"


def test_a_jar_that_is_another_is_not_used(repository: Path) -> None:
    put(repository, b"what somebody else put there")
    with pytest.raises(Unavailable, match=rf"org.example:thing:1.0: has the checksum .* not {SHA}"):
        jars.jars("one")
    put(repository, GOOD)
    assert jars.jars("one")[0].read_bytes() == GOOD


def test_a_jar_that_cannot_be_had_is_named(repository: Path) -> None:
    with pytest.raises(Unavailable, match=r"1 of 1 jars could not be had: org\.example:thing"):
        jars.jars("one")


def test_a_line_that_is_none_is_named(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "lists" / "bad.txt").write_text("org.example:thing 12\n")
    with pytest.raises(UnusableInput, match=r"bad.txt:1: 'org.example:thing 12'"):
        jars.jars("bad")


def test_every_list_is_whole() -> None:
    found = [jars.locked(path.stem) for path in sorted(jars._LISTS.glob("*.txt"))]
    assert all(found)
    for files in found:
        assert len({file.coordinate for file in files}) == len(files)
