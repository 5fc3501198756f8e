"""Lint names each mistake with its line, all of them at once, and nothing that is no mistake."""

from __future__ import annotations

import contextlib
import copy
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from forking import Ended, run_waypoint
from linting.linted_project import HERE, LOANS, MEMBERS, SLIPS, Contracts

from waypoint.contracts.documents import read_document
from waypoint.contracts.linting.finding import ContractFile
from waypoint.contracts.linting.personal import looks_personal
from waypoint.contracts.linting.standard import against_the_standard, line_at
from waypoint.errors import UnusableInput

QUERY = next(line for line in LOANS.splitlines() if 'query: "' in line)


def test_nothing_is_found_where_nothing_is_wrong(contracts: Contracts) -> None:
    assert contracts.findings() == ()


# what is replaced in the loans' contract, by what, the rule, and a part of what is said
MISTAKES = [
    # the standard
    ("apiVersion: v3.1.0", "apiVersion: v9.9.9 # here", "standard", "v9.9.9"),
    ("kind: DataContract", "kind: Datacontract # here", "standard", "Datacontract"),
    ("domain: lending", "domian: lending # here", "standard", "'domian' is no key"),
    ("  purpose: Who", "  purpos: Who # here", "standard", "'purpos' is no key"),
    ("        required: true\n        description: Who", "        requierd: true # here\n"
     "        description: Who", "standard", "'requierd' is no key"),
    ("tags: [critical]", "tags: critical # here", "standard", "is not of the kind array"),
    ("  name: library-data", "  name: 7 # here", "standard", "is not of the kind string"),
    # the table as a whole
    ("id: marts.loans", "id: marts.loan # here", "id", "stands for marts.loans"),
    ("version: 1.2.0", "version: banana # here", "version", "banana"),
    ("version: 1.2.0", "version: 1.2 # here", "version", "1.2"),
    ("status: active", "status: live # here", "status", "live"),
    ("status: active", "status: draft # here", "draft", "nobody has finished"),
    ("status: active", "status: deprecated # here", "promise", "until when"),
    ("team:\n  name: library-data", "team: # here\n  description: Us.", "owner", "nobody owns"),
    ("  - name: loans\n", "  - name: loan # here\n", "name", "loans.yaml"),
    ("    physicalType: table", "    physicalType: topic # here", "topic", "is a table"),
    ("    description: Books that are lent.", "", "description", "the table is not described"),
    ("    dataGranularityDescription: One row per loan.", "", "grain", "what one row is"),
    ("  purpose: Who has which book.", "  purpose: TODO who has it # here", "draft", "who has it"),
    ("slaProperties:", "  - name: second # here\n    physicalType: table\n    properties:\n"
     "      - {name: a, logicalType: string, physicalType: varchar, description: An a.}\n"
     "slaProperties:", "one table", "second table"),
    # columns
    ("- name: shelfmark", "- name: Days # here", "duplicate column", "described twice"),
    ("- name: shelfmark", "- name: shelfMark # here", "name", "snake_case"),
    ("        description: Where the book is.", "        description: State. # here",
     "description", "state is not described"),
    ("physicalType: integer", "physicalType: int # here", "type", "'int'"),
    ("physicalType: decimal(18,2)", "physicalType: double # here", "type", "loses cents"),
    ("physicalType: decimal(18,2)", "physicalType: decimal(40,2) # here", "type", "not exist"),
    ("physicalType: decimal(18,2)", "physicalType: numeric # here", "type", "both warehouses"),
    ("        primaryKey: true\n        required: true", "        primaryKey: true\n"
     "        required: false # here", "key", "a key and not required"),
    ("        required: true\n        description: Who", "        primaryKey: true # here\n"
     "        description: Who", "key", "no position"),
    ("          minimum: 1", "          minimum: 100 # here", "limits", "no value fits"),
    ("          minimum: 1", "          minimum: 1e-3 # here", "limits", "no number"),
    ("          maximum: 90", "          multipleOf: 7 # here", "limits", "multipleOf"),
    ("          pattern: '[A-Z]+ [0-9]+'", "          pattern: '[A-Z' # here", "limits",
     "no regular expression"),
    ("          pattern: '[A-Z]+ [0-9]+'", "          pattern: '(?=A).*' # here", "limits",
     "look-around"),
    ("[out, back, lost]", "[out, back, out] # here", "values", "twice"),
    ("[out, back, lost]", "[out, no] # here", "values", "not of the type string"),
    ("[out, back, lost]", "[] # here", "values", ""),
    # personal data
    ("        classification: pii\n", "", "personal data", "email looks like personal data"),
    ("classification: pii", "classification: secretish # here", "personal data", "secretish"),
    ("- name: shelfmark", "- name: reader_phone_number # here", "personal data", "looks like"),
    ("        classification: pii", "        customProperties:\n          - property: notPersonal\n"
     "            value: '' # here", "personal data", "no reason"),
    # relationships
    ("to: members.member_id", "to: member.member_id # here", "relationship", "no such table"),
    ("to: members.member_id", "to: members.id # here", "relationship", "no such column"),
    ("to: members.member_id", "to: members.joined_at # here", "relationship", "varchar"),
    # rules in SQL
    ("- name: lent_to_members", "- name: lost_books_cost_something # here", "rule", "two rules"),
    ("- name: lent_to_members", "- name: state_is_required # here", "rule", "brings by itself"),
    ("- name: lent_to_members", "- name: Lent to members # here", "rule", "Lent to members"),
    ("        description: Only those who joined can borrow.\n", "", "rule", "no reason"),
    ("        severity: warning", "        severity: mild # here", "rule", "mild"),
    ("        mustBe: 0\n        severity: warning", "        mustBe: 5 # here\n"
     "        severity: warning", "rule", "nothing else than 0"),
    ("fee_amount is null\"", "fee is null\" # here", "rule", "fee"),
    ("fee_amount is null\"", "fee_amount is is null\" # here", "rule", "understand"),
    ("fee_amount is null\"", "(1 = 1\" # here", "rule", "understand"),
    (QUERY, '        query: "delete from {object}" # here', "rule", "not one select"),
    (QUERY, '        query: "select 1 from {object}; select 2" # here', "rule", "not one select"),
    (QUERY, '        query: "select 1, 2 from {object}" # here', "rule", "more than one column"),
    (QUERY, '        query: "select count(*) from loans" # here', "rule", "{object}"),
    (QUERY, '        query: "select count(*) from {object} as o join members as m'
     ' on o.member_id = m.member_id" # here', "rule", "written bare"),
    (QUERY, '        query: "select count(*) from {object} as o join {marts.memberz} as m'
     ' on o.member_id = m.member_id" # here', "rule", "no table under contract"),
    ("        type: sql\n" + QUERY, "        metric: rowCount # here", "rule", "rowCount"),
    # promises
    ("element: loans.loaded_at", "element: loans.load_at # here", "promise", "no column"),
    ("element: loans.loaded_at", "element: books.loaded_at # here", "promise", "another table"),
    ("element: loans.loaded_at", "element: loans.state # here", "promise", "is no time"),
    ("    element: loans.loaded_at\n", "", "promise", "of which column"),
    ("    value: 4\n", "    value: 0 # here\n", "promise", "makes no sense"),
    ("    value: 4\n", "    value: soon # here\n", "promise", "no number"),
    ("    unit: h", "    unit: fortnight # here", "promise", "unknown unit"),
    ("property: retention", "property: freshness # here", "promise", "promised twice"),
    ("property: retention", "property: retain # here", "promise", "nothing keeps"),
    ("property: retention", "property: endOfLife # here", "promise", "end of life"),
    ("    value: 2 h", "    value: 6 h # here", "promise", "fails no later"),
    ("    value: 2 h", "    value: soon # here", "promise", "not a duration"),
    ("property: freshnessWarnAfter", "property: freshnesWarnAfter # here", "custom property",
     "nothing reads"),
    # roles
    ("  - role: reader", "  - role: raeder # here", "role", "no role 'raeder'"),
    ("  - role: keeper", "  - role: reader # here", "role", "named twice"),
    ("    access: read\n", "    access: write # here\n", "role", ""),
    ("    access: write", "    access: all # here", "role", "'all'"),
    ("    secondLevelApprovers: mayor\n", "", "role", "not approved"),
    ("  - role: reader\n    access: read\n    firstLevelApprovers: librarian\n", "", "role",
     "not named"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "bad", "rule", "said"), MISTAKES, ids=lambda v: str(v)[:40])
def test_each_mistake_is_named_with_its_line(
    good: str, bad: str, rule: str, said: str, contracts: Contracts
) -> None:
    assert good in LOANS
    text = LOANS.replace(good, bad, 1)
    path = contracts.write("contracts/marts/loans.yaml", text)
    found = contracts.findings(path)
    told = [one for one in found if one.rule == rule and said in one.problem]
    assert told, found
    assert all(one.mend for one in found)
    if HERE in text:
        wanted = next(n for n, line in enumerate(text.splitlines(), 1) if HERE in line)
        assert any(one.line == wanted for one in told), told


def test_everything_is_told_at_once(contracts: Contracts) -> None:
    text = LOANS
    for good, bad in (
        ("domain: lending", "domian: lending"),
        ("version: 1.2.0", "version: banana"),
        ("physicalType: integer", "physicalType: int"),
        ("to: members.member_id", "to: members.id"),
        ("element: loans.loaded_at", "element: loans.load_at"),
        ("fee_amount is null", "fee is null"),
    ):
        text = text.replace(good, bad, 1)
    contracts.write("contracts/marts/loans.yaml", text)
    contracts.write("contracts/staging/members.yaml", MEMBERS.replace("version: 1.0.0", ""))
    rules = {one.rule for one in contracts.findings()}
    assert {"standard", "version", "type", "relationship", "promise", "rule"} <= rules
    assert len({one.path for one in contracts.findings()}) == 2


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("value: json", "value: xml", "'xml' cannot be"),
        ("value: delete", "value: shred", "'shred' cannot be"),
        ("value: 3}", "value: 0}", "0 cannot be"),
        ("  - {property: key, value: desk}\n", "", "no key"),
        ("{property: key, value: desk}", "{property: landsIn, value: slips}", "'slips' cannot"),
        ("notPersonal", "note", "lat looks like personal data"),
        ("            description: Latitude in degrees.", "", "lat is not described"),
        ("- name: lng", "- name: lat", "described twice"),
        ("          - name: lat\n", "          - name: lat\n            classification: pii\n",
         "desk holds a field that is classified"),
    ],
)  # fmt: skip
def test_mistakes_of_topics(good: str, bad: str, said: str, contracts: Contracts) -> None:
    path = contracts.write("contracts/topics/lending-slips.yaml", SLIPS.replace(good, bad, 1))
    assert any(said in one.problem for one in contracts.findings(path)), contracts.findings(path)


def test_a_misspelt_key_is_refused_wherever_it_stands(contracts: Contracts) -> None:
    path = contracts.root / "contracts/marts/loans.yaml"
    document = yaml.safe_load(LOANS)
    holders = [(holder, way) for holder, way in mappings(document)]
    assert len(holders) > 20
    for holder, way in holders:
        holder["descriptoin"] = "x"
        contracts.write("contracts/marts/loans.yaml", yaml.safe_dump(document, sort_keys=False))
        found = contracts.findings(path)
        assert any("descriptoin" in one.problem for one in found), way
        del holder["descriptoin"]


def mappings(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if isinstance(value, dict):
        yield value, way
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        if isinstance(item, dict | list):
            yield from mappings(item, (*way, key))


def test_a_draft_says_what_is_still_to_decide(contracts: Contracts) -> None:
    text = LOANS.replace("status: active", "status: draft").replace(
        "  - property: freshnessWarnAfter",
        "  - property: todo\n    value: ['TODO: is 4 h right?', 'TODO: who approves?']\n"
        "  - property: freshnessWarnAfter",
    )
    text = text.replace("Who borrowed it.", '"TODO: what it means"')
    path = contracts.write("contracts/marts/loans.yaml", text)
    drafts = [one.problem for one in contracts.findings(path) if one.rule == "draft"]
    assert sorted(drafts) == [
        "a draft, which nobody has finished",
        "still to decide: is 4 h right?",
        "still to decide: what it means",
        "still to decide: who approves?",
    ]


@pytest.mark.parametrize(
    ("name", "is_personal"),
    [
        *((n, True) for n in (
            "email", "user_email", "contactEmail", "phone", "phone_number", "full_name", "lastName",
            "ip", "client_ip", "ip_address", "home_address", "address_line_1", "lat", "longitude",
            "date_of_birth", "birthday", "iban", "_location", "passport_number", "last4",
        )),
        *((n, False) for n in (
            "name", "product_name", "email_domain", "phone_type", "zipped", "recipient", "platform",
            "geohash_region", "user_id", "chip", "latency_ms", "slot", "along", "addressee_count",
        )),
    ],
)  # fmt: skip
def test_names_that_look_personal(name: str, is_personal: bool) -> None:
    assert looks_personal(name) == is_personal


UNREADABLE = [
    (b"", "is empty"),
    (b"id: [\n", "not readable as YAML"),
    (b"id: a\nid: b\n", "written twice"),
    ("name: Tür".encode("latin-1"), "not UTF-8"),
    (b"- a\n", "a list"),
    (b"a: &a [*a]\n", "holds itself"),
    (b"a: 1\nb: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    (b"a: " + b"[" * 300_000, "nested"),
    (b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9))
        for i in range(12)), "stands for more than"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), UNREADABLE, ids=[u[1] for u in UNREADABLE])
def test_what_is_no_contract_at_all_is_named_beside_the_others(
    content: bytes, said: str, contracts: Contracts
) -> None:
    contracts.write("contracts/marts/broken.yaml", content)
    contracts.write("contracts/marts/loans.yaml", LOANS.replace("domain: lending", ""))
    rules = {one.rule: one for one in contracts.findings()}
    assert said in rules["unreadable"].problem and rules["unreadable"].line >= 1
    assert rules["unreadable"].mend and "description" in rules


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("apiVersion: v3.1.0", "apiVersion: [v3.1.0]"),
        ("maximum: 90", "maximum: 0x" + "F" * 6000),
        ("value: 4", "value: .inf"),
        ("value: 4", "value: .nan"),
        ("value: 4", "value: 2026-01-01"),
        ("fee_amount is null", "(" * 6000 + "1" + ")" * 6000),
        ("'[A-Z]+ [0-9]+'", "'" + "(" * 3000 + ")" * 3000 + "'"),
        ("'[A-Z]+ [0-9]+'", "'(a{1,99999999999})'"),
    ],
    ids=lambda value: value[:20],
)
def test_hostile_values_are_refused(good: str, bad: str, contracts: Contracts) -> None:
    path = contracts.write("contracts/marts/loans.yaml", LOANS.replace(good, bad, 1))
    assert contracts.findings(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(contracts: Contracts) -> None:
    os.mkfifo(contracts.root / "contracts/marts/pipe.yaml")
    assert any("is no file" in one.problem for one in contracts.findings())


@pytest.mark.parametrize("seed", range(40))
def test_whatever_stands_in_a_file_is_judged(seed: int, contracts: Contracts) -> None:
    """Values taken out, replaced and copied about: findings, never a traceback."""
    chance = random.Random(seed)
    document = yaml.safe_load(chance.choice((LOANS, LOANS, MEMBERS, SLIPS)))
    for _ in range(chance.randint(1, 4)):
        spoil(document, chance)
    path = contracts.write("contracts/marts/loans.yaml", yaml.safe_dump(document, sort_keys=False))
    assert all(one.line >= 1 and one.problem and one.mend for one in contracts.findings(path))


def spoil(document: Any, chance: random.Random) -> None:
    places = [(holder, key) for holder, _ in mappings_and_lists(document) for key in keys(holder)]
    holder, key = chance.choice(places)
    other, its_key = chance.choice(places)
    odd = [None, "x", 3, -1.5, True, [], {}, ["a"], {"a": 1}, "9 h", "{", 10**400, {1: 2}]
    with contextlib.suppress(KeyError, IndexError):
        match chance.choice(["take out", "replace", "copy"]):
            case "take out":
                del holder[key]
            case "replace":
                holder[key] = chance.choice(odd)
            case _:
                holder[key] = copy.deepcopy(other[its_key])


def mappings_and_lists(value: Any) -> Iterator[tuple[Any, None]]:
    if isinstance(value, dict | list):
        yield value, None
        for key in keys(value):
            yield from mappings_and_lists(value[key])


def keys(value: Any) -> list[Any]:
    return list(value) if isinstance(value, dict) else list(range(len(value)))


def test_two_files_for_one_table(contracts: Contracts) -> None:
    contracts.write("contracts/marts/books.yaml", LOANS)
    assert any(one.rule == "duplicate table" for one in contracts.findings())


def test_files_that_nothing_reads(contracts: Contracts) -> None:
    contracts.write("contracts/marts/books.yml", LOANS)
    contracts.write("contracts/notes.txt", "later")
    contracts.write("contracts/README.md", "Contracts")
    strays = [one.path.name for one in contracts.findings() if one.rule == "stray file"]
    assert strays == ["books.yml", "notes.txt"]


def test_a_project_without_a_policy_of_roles_has_its_own(contracts: Contracts) -> None:
    (contracts.root / "dbt_project/roles.yml").unlink()
    path = contracts.write("contracts/marts/loans.yaml", LOANS.replace("reader", "visitor"))
    assert contracts.findings(path) == ()


@pytest.mark.parametrize(
    "policy", ["reader: [marts]", "reader: {reads: [marts]}", "reader: {read: 1}"]
)
def test_a_malformed_policy_of_roles_is_refused(policy: str, contracts: Contracts) -> None:
    contracts.write("dbt_project/roles.yml", policy)
    with pytest.raises(UnusableInput, match=r"roles.yml, line 1"):
        contracts.findings()


def test_a_path_that_is_not_there(contracts: Contracts, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match="no file or folder"):
        contracts.findings(tmp_path / "nowhere.yaml")


def test_the_command_ends_as_promised(contracts: Contracts) -> None:
    def ended(*arguments: str) -> Ended:
        return run_waypoint(["contracts", "lint", *arguments], contracts.root, dict(os.environ))

    assert ended().code == 0
    contracts.write("contracts/marts/loans.yaml", LOANS.replace("domain: ", "domian: "))
    found = ended("--json")
    assert found.code == 1
    report = found.json
    assert report["contracts"] == 3
    first = report["findings"][0]
    assert first.keys() == {"file", "line", "rule", "problem", "mend"}
    assert first["file"] == "contracts/marts/loans.yaml"
    contracts.write("contracts/marts/loans.yaml", "- a list\n")
    broken = ended()
    assert broken.code == 2
    assert "contracts/marts/loans.yaml, line 1" in broken.out
    assert "Traceback" not in broken.out + broken.err
    assert ended("nowhere.yaml").code == 2


def test_lines_are_found_through_lists_and_mappings(tmp_path: Path) -> None:
    path = tmp_path / "marts/loans.yaml"
    path.parent.mkdir()
    path.write_text(LOANS)
    document = read_document(path)
    line = line_at(document, ["schema", 0, "properties", 3, "logicalTypeOptions", "maximum"])
    assert "maximum: 90" in LOANS.splitlines()[line - 1]


@pytest.mark.parametrize("version", ["v3.0.2", "v3.1.0", "v3.2.0"])
def test_the_schema_is_that_of_the_contracts_version(version: str, tmp_path: Path) -> None:
    # `enum` on a column came with v3.2.0
    text = LOANS.replace("v3.1.0", version).replace(
        "        classification: pii", "        enum: [a]"
    )
    path = tmp_path / "marts/loans.yaml"
    path.parent.mkdir()
    path.write_text(text)
    found = [one.problem for one in against_the_standard(ContractFile(path, read_document(path)))]
    assert any("'enum'" in problem for problem in found) == (version != "v3.2.0")
