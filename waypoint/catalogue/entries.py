"""One table or topic of the catalogue, as HTML: what its contract says, in people's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from html import escape

from waypoint.catalogue.neighbours import Neighbours
from waypoint.contracts.model import TOPICS, Column, Contract, Contracts, Rule

#: How a contract marks personal data.
PII = "pii"


@dataclass(frozen=True)
class Surroundings:
    """What an entry needs to know beside its own contract."""

    contracts: Contracts
    neighbours: Mapping[str, Neighbours]
    known: bool  # whether there is a manifest to know the lineage from
    schemas: Mapping[str, Mapping[str, str]]  # derived schemas by contract: title, text
    lineage: str = ""  # the name of the lineage page, where it stands beside the catalogue

    def link(self, full_name: str, column: str = "") -> str:
        """A link to a table's entry; only the name where it has none."""
        contract = self.contracts.get(full_name)
        shown = escape(f"{full_name}.{column}" if column else full_name)
        if contract is None:
            return f"<span>{shown}</span>"
        place = anchor(contract) + (f".{column}" if column else "")
        return f'<a href="#{escape(place)}">{shown}</a>'


def anchor(contract: Contract) -> str:
    """What an entry is called in links: `marts.revenue_by_day`; topics after their contracts."""
    name = contract.path.stem if contract.schema == TOPICS else contract.name
    return f"{contract.schema}.{name}"


def is_personal(contract: Contract) -> bool:
    return any(column.classification == PII for _, column in flattened(contract.columns))


def flattened(columns: Iterable[Column], within: str = "") -> Iterator[tuple[str, Column]]:
    """Every column with its dotted name, those within objects and arrays after these."""
    for column in columns:
        name = f"{within}{column.name}"
        yield name, column
        yield from flattened(
            column.columns, f"{name}[]." if column.logical_type == "array" else f"{name}."
        )


def entry(contract: Contract, around: Surroundings) -> str:
    """A contract's entry: one line that opens into everything."""
    personal = is_personal(contract)
    chips = [_chip("personal data", "warn") if personal else ""]
    chips += [_chip(contract.status, "late") if contract.status != "active" else ""]
    chips += [_chip(tag, "fresh") for tag in contract.tags]
    name = anchor(contract)
    return (
        f'<details class="entry" id="{escape(name)}" data-schema="{escape(contract.schema)}"'
        f' data-domain="{escape(contract.domain)}" data-owner="{escape(contract.owner)}"'
        f' data-pii="{"yes" if personal else "no"}">'
        f'<summary><span class="whose">{escape(contract.owner)}</span>'
        f'<span class="name">{escape(contract.name)}</span> {"".join(chips)}'
        f'<span class="about">{escape(_first_sentence(contract.description))}</span>'
        '<span class="found" hidden></span></summary>'
        f'<div class="body"><p>{escape(contract.description)}</p>'
        f"{_facts(contract, around)}{_columns(contract, around)}{_rules(contract)}"
        f"{_lineage(contract, around)}{_roles(contract)}{_derived(contract, around)}"
        "</div></details>"
    )


def _first_sentence(text: str) -> str:
    first, dot, _ = text.partition(". ")
    return first + ("." if dot else "")


def _chip(text: str, tone: str) -> str:
    return f'<span class="chip {tone}">{escape(text)}</span> '


def _facts(contract: Contract, around: Surroundings) -> str:
    facts = [
        ("Grain", escape(contract.grain)),
        ("Owner", escape(contract.owner)),
        ("Domain", escape(contract.domain)),
        ("Key", escape(", ".join(contract.key))),
        ("Freshness", _freshness(contract)),
        ("Kept for", _duration(contract.retention) if contract.retention else "no limit is set"),
        ("Version", _version(contract, around)),
        *((_words(name), escape(_said(value))) for name, value in _of_topic(contract)),
        ("Contract", f"<code>{escape(_path(contract))}</code>"),
    ]
    listed = "".join(f"<div><dt>{name}</dt><dd>{said}</dd></div>" for name, said in facts if said)
    return f"<dl>{listed}</dl>"


def _freshness(contract: Contract) -> str:
    if contract.freshness is None:
        return ""
    promise = contract.freshness
    return (
        f"warns after {_duration(promise.warn_after)}, fails after"
        f" {_duration(promise.error_after)}, by <code>{escape(promise.element)}</code>"
    )


def _duration(length: timedelta) -> str:
    seconds = length.total_seconds()
    for unit, size in (("year", 31_536_000), ("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and (unit != "year" or seconds % size == 0):
            number = seconds / size
            return f"{number:g} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} seconds"


def _version(contract: Contract, around: Surroundings) -> str:
    said = escape(contract.version)
    if contract.end_of_life:
        said += f", built until {contract.end_of_life.isoformat()}"
    others = [c for c in around.contracts.versions(contract.family_name) if c is not contract]
    if others:
        links = ", ".join(f"{around.link(c.full_name)} ({escape(c.version)})" for c in others)
        said += f"; beside it {links}"
    return said


def _of_topic(contract: Contract) -> Iterator[tuple[str, object]]:
    """How the topic is set up. The key of its messages is another than that of their table."""
    if contract.schema == TOPICS:
        for name, value in contract.custom.items():
            yield ("messageKey" if name == "key" else name), value


def _words(name: str) -> str:
    """`payloadOnlyFields` as words."""
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
    return escape(words[:1].upper() + words[1:])


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _path(contract: Contract) -> str:
    return "/".join(contract.path.parts[-3:])


# columns


def _columns(contract: Contract, around: Surroundings) -> str:
    rows = "".join(
        _column(contract, name, column, around) for name, column in flattened(contract.columns)
    )
    noun = "Fields" if contract.schema == TOPICS else "Columns"
    return (
        f"<h4>{noun}</h4>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{noun} of'
        f' {escape(contract.name)}"><table><thead><tr><th scope="col">Name</th>'
        '<th scope="col">Type</th><th scope="col">What it means and what holds of it</th></tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


def _column(contract: Contract, name: str, column: Column, around: Surroundings) -> str:
    marks = []
    if column.primary_key_position is not None:
        marks.append(_chip("key", "fresh"))
    elif column.required:
        marks.append(_chip("required", "plain"))
    if column.unique and column.primary_key_position is None:
        marks.append(_chip("unique", "plain"))
    if column.classification:
        said = "personal data" if column.classification == PII else column.classification
        marks.append(_chip(said, "warn"))
    rules = "".join(f"<li>{rule}</li>" for rule in _column_rules(contract, column, around))
    return (
        f'<tr id="{escape(anchor(contract))}.{escape(name)}" data-column="{escape(name)}">'
        f'<th scope="row"><code>{escape(name)}</code></th>'
        f'<td class="type">{escape(column.physical_type or column.logical_type)}</td>'
        f"<td>{''.join(marks)}{escape(column.description)}"
        + (f"<ul>{rules}</ul>" if rules else "")
        + "</td></tr>"
    )


def _column_rules(contract: Contract, column: Column, around: Surroundings) -> Iterator[str]:
    if column.minimum is not None or column.maximum is not None:
        bounds = ((column.minimum, "at least"), (column.maximum, "at most"))
        yield " and ".join(f"{words} {escape(str(b))}" for b, words in bounds if b is not None)
    if column.valid_values is not None:
        yield "one of " + ", ".join(f"<code>{escape(v)}</code>" for v in column.valid_values)
    if column.pattern is not None:
        yield f"matches <code>{escape(column.pattern)}</code>"
    if column.references is not None:
        yield f"refers to {_reference(contract, column.references, around)}"
    reason = column.custom.get("notPersonal")
    if reason:
        yield f"not personal: {escape(str(reason))}"
    for rule in column.rules:
        yield f"{escape(rule.name)}: {escape(rule.description)}"


def _reference(contract: Contract, said: str, around: Surroundings) -> str:
    """A link to `table.column`, of this schema where several have such a table."""
    table, _, column = said.rpartition(".")
    table = table.rpartition(".")[2]
    found = [c for c in around.contracts.tables if c.name == table]
    found.sort(key=lambda c: c.schema != contract.schema)
    return around.link(found[0].full_name, column) if found else escape(said)


# the rest


def _rules(contract: Contract) -> str:
    if not contract.rules:
        return ""
    return f'<h4>Rules</h4><ul class="rules">{"".join(map(_rule, contract.rules))}</ul>'


def _rule(rule: Rule) -> str:
    tone = "late" if rule.severity == "error" else "warn"
    said = "fails" if rule.severity == "error" else "warns"
    return (
        f"<li>{_chip(said, tone)}<b>{escape(rule.name.replace('_', ' '))}</b>"
        f"{': ' if rule.description else ''}{escape(rule.description)}"
        f"<details><summary>What is counted</summary><pre><code>{escape(rule.query)}</code></pre>"
        "</details></li>"
    )


def _lineage(contract: Contract, around: Surroundings) -> str:
    found = around.neighbours[contract.full_name]
    parts = [
        _linked("Comes from", found.upstream, around),
        _linked("Is read by", found.downstream, around),
    ]
    if found.exposures:
        items = "".join(
            f"<li>{escape(e.label)} ({escape(e.kind)}, {escape(e.owner)})</li>"
            for e in found.exposures
        )
        parts.append(f"<div><h4>Is used in</h4><ul>{items}</ul></div>")
    if around.lineage and around.known and contract.schema != TOPICS:
        place = f"{around.lineage}#{contract.full_name.lower()}"
        parts.append(f'<p><a href="{escape(place)}">Down to the column</a></p>')
    if not around.known:
        parts.append(
            "<p>Which tables are made of it is known when the warehouse has been built.</p>"
        )
    return f'<div class="lineage">{"".join(parts)}</div>'


def _linked(title: str, names: tuple[str, ...], around: Surroundings) -> str:
    if not names:
        return ""
    items = "".join(f"<li>{around.link(name)}</li>" for name in names)
    return f"<div><h4>{title}</h4><ul>{items}</ul></div>"


def _roles(contract: Contract) -> str:
    if not contract.roles:
        return ""
    items = "".join(
        f"<li><b>{escape(role.name.replace('_', ' '))}</b>"
        f" {'reads and writes' if role.access == 'write' else 'reads'}"
        + (f"; granted by {escape(', then '.join(role.approvers))}" if role.approvers else "")
        + "</li>"
        for role in contract.roles
    )
    return f"<h4>Who may use it</h4><ul>{items}</ul>"


def _derived(contract: Contract, around: Surroundings) -> str:
    return "".join(
        f'<details class="derived"><summary>{escape(title)}</summary>'
        f"<pre><code>{escape(text)}</code></pre></details>"
        for title, text in around.schemas.get(contract.full_name, {}).items()
    )
