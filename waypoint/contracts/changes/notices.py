"""Notices on record: who was told of which breaking change, when, by what channel, and what.

One file for each new version of a contract, `docs/notices/<contract>-v<major>.yml`, written by
`waypoint contracts notify` and read by the gate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from waypoint.contracts.changes.affected import Consumer
from waypoint.contracts.documents import Misread, entries, invalid, read_document, reading

FOLDER = Path("docs") / "notices"


@dataclass(frozen=True)
class Told:
    """One consumer that was told: `kind` and `name` say who, `by` the channel, `at` is UTC."""

    kind: str
    name: str
    by: str
    to: str
    at: datetime


@dataclass(frozen=True)
class Notice:
    """What the consumers of a contract were told of its new version (or of its end)."""

    contract: str
    version: str
    replaces: str
    ends: date | None
    message: str
    sent_by: str
    told: tuple[Told, ...] = ()

    @property
    def complete_on(self) -> date | None:
        """The day on which the last consumer was told first; None where nobody was told."""
        firsts: dict[tuple[str, str], date] = {}
        for one in self.told:
            day = one.at.date()
            firsts[one.kind, one.name] = min(day, firsts.get((one.kind, one.name), day))
        return max(firsts.values(), default=None)

    def missing(self, consumers: Iterable[Consumer]) -> list[Consumer]:
        """Those of the consumers who were not told."""
        reached = {(one.kind, one.name) for one in self.told}
        return [consumer for consumer in consumers if consumer.key not in reached]

    def and_told(self, told: Iterable[Told]) -> Notice:
        return replace(self, told=(*self.told, *told))


def path_of(root: Path, contract: str, major: int) -> Path:
    """Where the notice of a contract's major version is on record."""
    return root / FOLDER / f"{contract}-v{major}.yml"


def read_notice(path: Path) -> Notice | None:
    """The notice in a file; None where there is none.

    Raises:
        InvalidContract: the file is no notice.
    """
    if not path.exists():
        return None
    document = read_document(path)
    try:
        with reading(document):
            return Notice(
                contract=document["contract"],
                version=str(document["version"]),
                replaces=str(document.get("replaces", "")),
                ends=_day(document.get("ends")),
                message=str(document.get("message", "")),
                sent_by=str(document.get("sent_by", "")),
                told=tuple(_told(entry) for entry in entries(document, "told")),
            )
    except Misread as error:
        hint = error.hint or "let `waypoint contracts notify` write this file"
        raise invalid(path, Misread(error.line, str(error), hint)) from None


def write_notice(path: Path, notice: Notice) -> None:
    """Put a notice on record, readable in a review."""
    document: dict[str, Any] = {
        "contract": notice.contract,
        "version": notice.version,
        "replaces": notice.replaces,
        "ends": notice.ends,
        "sent_by": notice.sent_by,
        "message": notice.message,
        "told": [_entry(one) for one in notice.told],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text({k: v for k, v in document.items() if v not in (None, "")}), "utf-8")


def _told(entry: Mapping[str, Any]) -> Told:
    with reading(entry):
        at = entry["at"]
        moment = at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
        zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return Told(
            kind=entry["kind"],
            name=entry["consumer"],
            by=entry["by"],
            to=str(entry.get("to", "")),
            at=zoned.astimezone(UTC),
        )


def _entry(one: Told) -> dict[str, Any]:
    return {
        "consumer": one.name,
        "kind": one.kind,
        "by": one.by,
        "to": one.to,
        "at": one.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _day(value: Any) -> date | None:
    if value is None or isinstance(value, date):
        return value
    return date.fromisoformat(str(value))


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks, lists indented."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _text(document: dict[str, Any]) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
