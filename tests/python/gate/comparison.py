"""The table of `docs/contract-changes.md`: what this gate, datacontract-cli and dbt say of changes.

All three are really run, on the library of these tests. `python -m gate.comparison` in tests/python
writes the table anew; the tests hold the file to it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from datacontract.data_contract import DataContract
from gate.change_table import CASES, PRODUCERS, Case
from open_data_contract_standard.model import OpenDataContractStandard

from waypoint.contracts.rendering import ContractWithoutTable, render
from waypoint.project import Project

DOCUMENT = Path(__file__).parents[3] / "docs" / "contract-changes.md"
LIBRARY = Path(__file__).parent / "library"
BEGIN = "<!-- begin: written by `python -m gate.comparison`, in tests/python -->"
END = "<!-- end -->"
HEAD = (
    "| Change | Of | This gate: breaks | `datacontract breaking` | dbt `state:modified.contract` |",
    "|---|---|---|---|---|",
)
NOTHING = "–"
_MODIFIED = ("ls", "--select", "state:modified.contract", "--state", "before")
_MODIFIED += ("--resource-type", "model")


def rows(dbt_says: dict[str, str]) -> list[str]:
    """The table's rows, one for each change."""
    return [
        f"| {case.name} | {_kind_of_table(case)} | {ours(case)} | {datacontract_says(case)}"
        f" | {dbt_says[case.name]} |"
        for case in CASES
    ]


def written_rows() -> list[str]:
    """The rows as they stand in the document."""
    lines = DOCUMENT.read_text().splitlines()
    table = lines[lines.index(BEGIN) + 1 : lines.index(END)]
    return [line for line in table if line.startswith("| ")][1:]


def written_dbt_column() -> dict[str, str]:
    """What the document says that dbt says, by the change's name."""
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in written_rows()]
    return {row[0]: row[-1] for row in cells}


def _kind_of_table(case: Case) -> str:
    return {"raw": "raw table", "topics": "topic"}.get(case.contract.split(".")[0], "model")


def ours(case: Case) -> str:
    """Whom the change breaks, as the tests of the gate have it."""
    if not case.breaks:
        return NOTHING
    readers = sorted(case.breaks - {PRODUCERS})
    everybody = len(readers) == 5
    told = (
        ["all readers"] if everybody else [reader.removesuffix(" and models") for reader in readers]
    )
    return ", ".join(told + [PRODUCERS] * (PRODUCERS in case.breaks))


def datacontract_says(case: Case) -> str:
    """Whom `datacontract breaking` sees broken, from both of its perspectives."""
    schema, _, table = case.contract.partition(".")
    text = (LIBRARY / "contracts" / schema / f"{table}.yaml").read_text()
    changed = yaml.safe_load(text)
    case.edit(changed)
    # read already: reading texts, the tool also validates them, which takes a second each
    before = DataContract(data_contract=OpenDataContractStandard(**yaml.safe_load(text)))
    after = DataContract(data_contract=OpenDataContractStandard(**changed))
    results = {side: before.breaking(after, perspective=side) for side in ("consumer", "producer")}
    broken = [f"{side}s" for side, result in results.items() if result.is_breaking]
    if broken:
        return ", ".join(broken)
    levels = {entry.level.value for result in results.values() for entry in result.entries}
    return "a warning" if "warning" in levels else NOTHING


def ask_dbt() -> dict[str, str]:
    """What dbt says of each change, compared with the library as it was: by the change's name."""
    with tempfile.TemporaryDirectory() as folder, _library(Path(folder)) as home:
        _dbt(home, "parse")
        shutil.copytree(home / "target", home / "before")
        return {case.name: _dbt_says(home, case) for case in CASES}


def _dbt_says(home: Path, case: Case) -> str:
    schema, _, table = case.contract.partition(".")
    path = home / "contracts" / schema / f"{table}.yaml"
    kept = path.read_text()
    document = yaml.safe_load(kept)
    case.edit(document)
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    try:
        render(Project.find(home))
        selected, warned = _dbt(home, *_MODIFIED)
    except ContractWithoutTable:
        return "needs another model"
    finally:
        path.write_text(kept)
        render(Project.find(home))
    if warned:
        return "a warning"
    return "modified" if selected else NOTHING


@contextlib.contextmanager
def _library(folder: Path) -> Iterator[Path]:
    home = folder / "library"
    shutil.copytree(LIBRARY, home, symlinks=True)
    (home / "macros").unlink()
    (home / "macros").symlink_to(LIBRARY / "macros")
    render(Project.find(home))
    quiet = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "WAYPOINT_STATE": str(home / "var")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DBT_")}
    with mock.patch.dict(os.environ, kept | quiet, clear=True), contextlib.chdir(home):
        yield home


def _dbt(home: Path, *arguments: str) -> tuple[list[str], bool]:
    """What dbt lists, and whether it warned of a breaking change."""
    from dbt.cli.main import dbtRunner

    events: list[str] = []
    runner = dbtRunner(callbacks=[lambda event: events.append(event.info.name)])
    result: Any = runner.invoke([*arguments, "--quiet", "--log-level", "none"])
    if not result.success:
        raise RuntimeError(f"dbt {' '.join(arguments)} failed: {result.exception}")
    listed = result.result if isinstance(result.result, list) else []
    return listed, "UnversionedBreakingChange" in events


def main() -> None:
    """Run all three and write the table into the document."""
    table = "\n".join((*HEAD, *rows(ask_dbt())))
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")
    print(f"{DOCUMENT}: {len(CASES)} changes", file=sys.stderr)


if __name__ == "__main__":
    main()
