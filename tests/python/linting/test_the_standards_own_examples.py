"""What the standard and its tool say: their examples load here, and our contracts are theirs too.

The standard's files are no part of the project: they are expected in ../shared/data, and where they
are not there, the tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft201909Validator

from waypoint.contracts.reading import read_contract

ROOT = Path(__file__).parents[3]
STANDARD = ROOT.parent / "shared" / "data" / "conformance" / "odcs"
EXAMPLES = sorted(STANDARD.glob("examples/**/*.yaml"))
CONTRACTS = sorted((ROOT / "contracts").glob("*/*.yaml"))

of_the_standard = pytest.mark.skipif(
    not STANDARD.is_dir(), reason=f"the standard's files are not there: {STANDARD}"
)


@of_the_standard
def test_all_examples_are_there() -> None:
    assert len(EXAMPLES) == 18


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_of_the_standard_loads(example: Path) -> None:
    contract = read_contract(example)
    document = yaml.safe_load(example.read_text())
    assert contract.version == document["version"]
    tables = document.get("schema") or [{}]
    names = [p["name"] for p in tables[0].get("properties", [])]
    assert [column.name for column in contract.columns] == names


@of_the_standard
def test_all_contracts_validate_against_the_schema_of_their_version() -> None:
    validators: dict[str, Draft201909Validator] = {}
    for path in CONTRACTS:
        document = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
        document = json.loads(json.dumps(document))
        version = document["apiVersion"]
        if version not in validators:
            schema = STANDARD / "schema" / f"odcs-json-schema-{version}.json"
            validators[version] = Draft201909Validator(json.loads(schema.read_text()))
        errors = [e.message for e in validators[version].iter_errors(document)]
        assert not errors, f"{path}: {errors[:3]}"


@pytest.mark.long
def test_datacontract_lint_passes_all_contracts() -> None:
    contract_tool = pytest.importorskip("datacontract.data_contract")
    failed = {}
    for path in CONTRACTS:
        run = contract_tool.DataContract(data_contract_file=str(path)).lint()
        if run.result.value != "passed":
            failed[path.name] = [check.reason for check in run.checks if check.reason]
    assert CONTRACTS and not failed
