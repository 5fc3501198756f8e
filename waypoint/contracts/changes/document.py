"""A report as JSON: what `waypoint contracts check --json` prints."""

from __future__ import annotations

from typing import Any

from waypoint.contracts.changes.affected import Consumer
from waypoint.contracts.changes.checking import Finding, Report
from waypoint.contracts.changes.cover import Cover
from waypoint.contracts.changes.model import Change
from waypoint.contracts.changes.verdicts import Audience


def document(report: Report) -> dict[str, Any]:
    """The report as plain values."""
    changes = [change for finding in report.findings for change, _ in finding.changes]
    uncovered = [f for f in report.findings if f.cover is not None and not f.cover.complete]
    return {
        "outcome": report.outcome.value,
        "exit_code": report.exit_code,
        "base": {"reference": report.base.reference, "commit": report.base.commit},
        "day": report.day.isoformat(),
        "contracts": report.contracts,
        "changed": len(report.findings),
        "changes": len(changes),
        "breaking": sum(change.breaking for change in changes),
        "not_covered": [finding.contract for finding in uncovered],
        "consumers_known": report.consumers_known,
        "remarks": list(report.remarks),
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    before = finding.step.before.contract if finding.step.before else None
    after = finding.step.after.contract if finding.step.after else None
    written = finding.step.written.contract
    return {
        "contract": finding.contract,
        "event": finding.step.event.value,
        "file": "/".join(written.path.parts[-3:]),
        "owner": written.owner,
        "version_before": before.version if before else None,
        "version_after": after.version if after else None,
        "outcome": finding.outcome.value,
        "changes": [_change(change, consumers) for change, consumers in finding.changes],
        "consumers": [_consumer(consumer) for consumer in finding.consumers],
        "cover": _cover(finding.cover) if finding.cover else None,
    }


def _change(change: Change, consumers: tuple[Consumer, ...]) -> dict[str, Any]:
    return {
        "kind": change.kind.value,
        "subject": change.subject,
        "what": change.what,
        "before": change.before,
        "after": change.after,
        "breaking": change.breaking,
        "look": change.look,
        "breaks": {audience.value: audience in change.breaks for audience in Audience},
        "consumers": [_consumer(consumer) for consumer in consumers],
    }


def _consumer(consumer: Consumer) -> dict[str, Any]:
    return {
        "kind": consumer.kind,
        "name": consumer.name,
        "label": consumer.label or consumer.name,
        "owner": consumer.owner,
        "email": consumer.email,
        "columns": list(consumer.columns),
        "direct": consumer.direct,
    }


def _cover(cover: Cover) -> dict[str, Any]:
    return {
        "complete": cover.complete,
        "conditions": [
            {"name": c.name, "met": c.met, "found": c.found, "do": "" if c.met else c.do}
            for c in cover.conditions
        ],
    }
