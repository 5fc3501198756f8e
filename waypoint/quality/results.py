"""What came of suites: findings by table, and what the run cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Finding:
    """An expectation that its table does not meet."""

    rule: str  # as the contract's own tests call it
    severity: str  # "error" or "warning"
    expectation: str
    detail: str


@dataclass(frozen=True)
class TableResult:
    """What came of one table's suite. `looked_at` of its `rows` were in the batch."""

    table: str
    owner: str
    rows: int
    looked_at: int
    passed: int
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def errors(self) -> int:
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def warnings(self) -> int:
        return len(self.findings) - self.errors


@dataclass(frozen=True)
class QualityRun:
    """What came of a run over some tables, and what it cost: wall and CPU seconds."""

    tables: tuple[TableResult, ...]
    data_docs: Path
    as_of: datetime
    seconds: float
    cpu_seconds: float

    @property
    def succeeded(self) -> bool:
        return not any(table.errors for table in self.tables)
