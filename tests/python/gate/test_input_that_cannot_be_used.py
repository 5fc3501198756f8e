"""Contracts, manifests and repositories that cannot be used: exit 2, with file, line and mend."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from gate.conftest import LIBRARY, Repository

from waypoint.contracts.changes.comparing import compare
from waypoint.contracts.changes.model import Written
from waypoint.contracts.documents import read_document
from waypoint.contracts.reading import contract_of
from waypoint.errors import UnusableInput

GOOD_HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: marts.broken\n"
REST = "version: 1.0.0\nstatus: active\n"
TABLE = """schema:
  - name: broken
    properties:
      - {name: day, logicalType: date, physicalType: date}
"""
LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(12)
)

# name, the file's bytes, the line that is named, what is said
BAD = [
    ("empty", b"", 1, "is empty"),
    ("only a comment", b"# later\n", 1, "is empty"),
    ("malformed", f"{GOOD_HEAD}schema: [\n".encode(), 5, "not readable as YAML"),
    ("a tab", f"{GOOD_HEAD}\tversion: 1.0.0\n".encode(), 4, "tab"),
    ("not UTF-8", GOOD_HEAD.encode() + "name: Tür\n".encode("latin-1"), 4, "not UTF-8"),
    ("UTF-16", GOOD_HEAD.encode("utf-16"), 1, "not UTF-8"),
    ("binary", b"PK\x03\x04\x14\x00\x00\x00\x08\x00" * 9, 1, "binary"),
    ("a key written twice", f"{GOOD_HEAD}{REST}status: draft\n".encode(), 6, "written twice"),
    ("two documents", f"{GOOD_HEAD}---\nid: x\n".encode(), 4, "one contract per file"),
    ("a list", b"- id: marts.broken\n", 1, "a list"),
    ("billion laughs", LAUGHS, 6, "aliases"),
    ("an alias of itself", b"a: &a [*a]\n", 1, "holds itself"),
    ("a tag that names code", b"a: 1\nb: !!python/object/apply:os.getcwd []\n", 2, "tag"),
    ("endless nesting", b"a: " + b"[" * 300_000, 1, "nested"),
    ("a version that is none", f"{GOOD_HEAD}version: banana\n{TABLE}".encode(), 4, "1.2.3"),
    ("no version", f"{GOOD_HEAD}status: active\n{TABLE}".encode(), 1, "'version' is missing"),
    (
        "a column without a type",
        f"{GOOD_HEAD}{REST}{TABLE}      - name: loans\n".encode(),
        10,
        "'logicalType' is missing",
    ),
    (
        "a column described twice",
        f"{GOOD_HEAD}{REST}{TABLE}".encode() + TABLE.splitlines()[-1].encode() + b"\n",
        10,
        "described twice",
    ),
    (
        "a range that holds nothing",
        f"{GOOD_HEAD}{REST}{TABLE}      - name: n\n        logicalType: integer\n"
        "        logicalTypeOptions: {minimum: 5, maximum: 1}\n".encode(),
        12,
        "no value fits",
    ),
    (
        "freshness that fails before it warns",
        f"{GOOD_HEAD}{REST}{TABLE}slaProperties:\n"
        "  - {property: freshness, value: 1, unit: h, element: broken.day}\n"
        "customProperties: [{property: freshnessWarnAfter, value: 2 h}]\n".encode(),
        11,
        "a warning comes first",
    ),
    (
        "a unit that does not exist",
        f"{GOOD_HEAD}{REST}{TABLE}slaProperties:\n"
        "  - {property: retention, value: 1, unit: fortnight}\n".encode(),
        11,
        "unknown unit",
    ),
    (
        "columns that are no list",
        f"{GOOD_HEAD}{REST}schema:\n  - name: x\n    properties: none\n".encode(),
        8,
        "not a list",
    ),
]


@pytest.mark.parametrize(("content", "line", "said"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_contract_is_named_with_its_line(
    content: bytes, line: int, said: str, repository: Repository
) -> None:
    repository.path("marts.broken").write_bytes(content)
    with pytest.raises(Exception) as raised:
        repository.check()
    error = raised.value
    assert error.exit_code == 2  # type: ignore[attr-defined]
    assert f"marts/broken.yaml, line {line}:" in str(error)
    assert said in f"{error} {error.hint}"  # type: ignore[attr-defined]


def test_the_command_ends_with_2_and_says_what_to_do(repository: Repository) -> None:
    repository.path("marts.broken").write_bytes(b"- id: x\n")
    ended = repository.waypoint("contracts", "check", "--base", "HEAD")
    assert ended.returncode == 2
    assert "marts/broken.yaml, line 1" in ended.stderr and "hint:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_all_bad_contracts_are_named_at_once(repository: Repository) -> None:
    repository.path("marts.one").write_bytes(b"")
    repository.path("marts.two").write_bytes(b"[]")
    with pytest.raises(Exception, match=r"marts/one.yaml, line 1") as raised:
        repository.check()
    assert "marts/two.yaml, line 1" in str(raised.value)


def test_two_files_for_one_version_contradict_each_other(repository: Repository) -> None:
    copy = repository.document("marts.loans_by_day")
    copy["schema"][0]["physicalName"] = "loans_by_day_v1"
    repository.write("marts.loans_by_day-v1", copy)
    with pytest.raises(Exception, match=r"line \d+: marts.loans_by_day has a version 1 already"):
        repository.check()


def test_a_file_name_and_a_version_that_differ_contradict_each_other(
    repository: Repository,
) -> None:
    repository.write("marts.loans_by_day-v3", repository.document("marts.loans_by_day"))
    with pytest.raises(Exception, match=r"loans_by_day-v3.yaml, line \d+: .* version 3"):
        repository.check()


def test_a_contract_that_was_unreadable_at_the_base_can_be_mended(repository: Repository) -> None:
    path = repository.path("marts.loans_by_day")
    good = path.read_bytes()
    path.write_bytes(b"oh: [")
    repository.commit("broken")
    path.write_bytes(good)
    report = repository.check()
    assert report.exit_code == 0
    assert any("not readable" in remark for remark in report.remarks)


def test_a_contract_of_another_shape_is_named_with_its_line(repository: Repository) -> None:
    repository.edit("marts.loans_by_day", lambda d: d.update(tags={"a": 1}))
    with pytest.raises(Exception, match=r"loans_by_day.yaml, line \d+: tags: .*list"):
        repository.check()


def test_a_contract_that_was_of_another_shape_can_be_mended(repository: Repository) -> None:
    good = repository.document("marts.loans_by_day")
    repository.edit("marts.loans_by_day", lambda d: d.update(tags={"a": 1}))
    repository.commit("of another shape")
    repository.write("marts.loans_by_day", good)
    report = repository.check()
    assert [change.kind for change, _ in report.findings[0].changes] == ["contract mended"]
    assert report.exit_code == 0


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_edited_is_judged_or_refused(seed: int) -> None:
    """Values taken out, replaced by others and doubled, anywhere in a contract."""
    chance = random.Random(seed)
    path = chance.choice(sorted(LIBRARY.glob("contracts/*/*.yaml")))
    before = yaml.safe_load(path.read_text())
    after = yaml.safe_load(path.read_text())
    for _ in range(chance.randint(1, 4)):
        spoil(after, chance)
    with contextlib.suppress(UnusableInput):
        for one, other in ((before, after), (after, before)):
            compare(written(path, one), written(path, other))


def spoil(document: Any, chance: random.Random) -> None:
    places = [*places_in(document)]
    holder, key = chance.choice(places)
    other, its_key = chance.choice(places)
    what = chance.choice(["take out", "replace", "double", "copy"])
    if what == "take out":
        del holder[key]
    elif what == "replace":
        holder[key] = chance.choice([None, "x", 3, -1.5, True, [], {}, ["a"], {"a": 1}, "9 h"])
    elif what == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    else:
        holder[key] = copy.deepcopy(other[its_key])


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in keys:
        yield value, key
        yield from places_in(value[key])


def written(path: Path, document: Any) -> Written:
    read = read_document(path, yaml.safe_dump(document, sort_keys=False).encode())
    return Written(contract_of(path, read), read)


def test_a_reference_that_git_does_not_know(repository: Repository) -> None:
    ended = repository.waypoint("contracts", "check", "--base", "no-such-branch")
    assert ended.returncode == 2
    assert "no-such-branch" in ended.stderr and "fetch" in ended.stderr


def test_a_reference_that_looks_like_an_option(repository: Repository) -> None:
    ended = repository.waypoint("contracts", "check", "--base=--output=/tmp/x")
    assert ended.returncode == 2


def test_no_repository(repository: Repository, tmp_path: Path) -> None:
    (repository.root / ".git").rename(tmp_path / "elsewhere")
    ended = repository.waypoint("contracts", "check", "--base", "HEAD")
    assert ended.returncode == 2
    assert "git" in ended.stderr


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"metadata": 1}', "not json"])
def test_a_manifest_that_is_none(content: str, repository: Repository) -> None:
    manifest = repository.put("other.json", content)
    ended = repository.waypoint("contracts", "check", "--base", "HEAD", "--manifest", str(manifest))
    assert ended.returncode == 2
    assert "other.json" in ended.stderr and "Traceback" not in ended.stderr


def test_a_notice_that_is_none(repository: Repository) -> None:
    repository.edit("marts.loans_by_day", lambda d: d["schema"][0]["properties"].pop(1))
    repository.put("docs/notices/marts.loans_by_day-v2.yml", "contract: marts.loans_by_day\n")
    with pytest.raises(Exception, match=r"marts.loans_by_day-v2.yml, line 1: 'version' is missing"):
        repository.check()
