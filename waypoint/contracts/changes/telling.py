"""A report for people: on the terminal, and as the comment on a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.markup import escape

from waypoint.contracts.changes.affected import Consumer
from waypoint.contracts.changes.checking import Finding, Outcome, Report
from waypoint.contracts.changes.cover import Cover
from waypoint.contracts.changes.model import Change
from waypoint.contracts.changes.pairing import Step
from waypoint.contracts.changes.verdicts import Audience
from waypoint.contracts.model import TOPICS

#: The first line of the comment, by which the workflow finds the one that it wrote before.
COMMENT_MARK = "<!-- waypoint contracts check -->"

_STYLES = {Outcome.FINE: "green", Outcome.COVERED: "yellow", Outcome.BREAKING: "red"}
_SIGNS = {Outcome.FINE: "✓", Outcome.COVERED: "✓", Outcome.BREAKING: "✗"}
_HEADS = {
    Outcome.FINE: "nothing breaks",
    Outcome.COVERED: "breaks, and is covered",
    Outcome.BREAKING: "breaks without cover",
}
#: How many consumers of one kind are named before the rest is counted.
_NAMED = 12


def print_report(report: Report, console: Console) -> None:
    """The report on a terminal, findings that need something first."""
    for finding in _in_order(report.findings):
        _print_finding(finding, console)
    for remark in report.remarks:
        console.print(f"[dim]note: {escape(remark)}[/]")
    console.print(f"[{_STYLES[report.outcome]}]{escape(verdict(report))}[/]")


def verdict(report: Report) -> str:
    """The last word, in one sentence."""
    against = f"against {report.base.reference} ({report.base.commit[:7]})"
    if not report.findings:
        return f"{report.contracts} contracts, none changed {against}"
    changed = f"{_count(report.findings, 'contract')} of {report.contracts} changed {against}"
    if report.outcome is Outcome.FINE:
        return f"{changed}; nothing breaks"
    broken = [f for f in report.findings if f.outcome is Outcome.BREAKING]
    if not broken:
        return f"{changed}; what breaks is covered"
    names = ", ".join(finding.contract for finding in broken)
    return f"{changed}; {names}: breaking without cover"


def markdown(report: Report) -> str:
    """The report as a comment on a pull request."""
    lines = [COMMENT_MARK, f"## Contracts: {_headline(report)}", "", f"{verdict(report)}.", ""]
    for finding in _in_order(report.findings):
        lines.extend(_markdown_finding(finding))
    if report.remarks:
        lines += [f"> {_plain(remark)}\n>" for remark in report.remarks]
        lines[-1] = lines[-1].removesuffix("\n>")
        lines.append("")
    return "\n".join(lines)


def _headline(report: Report) -> str:
    if not report.findings:
        return "none changed"
    return f"{_SIGNS[report.outcome]} {_HEADS[report.outcome]}"


def _in_order(findings: Iterable[Finding]) -> list[Finding]:
    order = (Outcome.BREAKING, Outcome.COVERED, Outcome.FINE)
    return sorted(findings, key=lambda finding: order.index(finding.outcome))


# on the terminal


def _print_finding(finding: Finding, console: Console) -> None:
    style = _STYLES[finding.outcome]
    console.print(
        f"[{style}]{_SIGNS[finding.outcome]}[/] [bold]{escape(finding.contract)}[/]"
        f" [dim]{escape(_versions(finding))}[/]  [{style}]{_HEADS[finding.outcome]}[/]"
    )
    for change, consumers in finding.changes:
        mark = f"[{style}]breaks[/]" if change.breaking else "[dim]      [/]"
        look = " [yellow](look at it: how much it means, no rule can tell)[/]" * change.look
        console.print(f"  {mark} {escape(change.what)}{look}")
        for line in _whom(change, consumers, finding.step):
            console.print(f"           [dim]{escape(line)}[/]")
    if finding.cover is not None:
        _print_cover(finding.cover, console)
    console.print()


def _print_cover(cover: Cover, console: Console) -> None:
    console.print("  what covers it (all four are needed):")
    for condition in cover.conditions:
        sign = "[green]✓[/]" if condition.met else "[red]✗[/]"
        console.print(f"    {sign} {condition.name}: {escape(condition.found)}")
        if not condition.met:
            console.print(f"      [bold]→[/] {escape(condition.do)}")


# as a comment


def _markdown_finding(finding: Finding) -> Iterator[str]:
    owner = finding.step.written.contract.owner
    owned = f" · owned by {_plain(owner)}" if owner else ""
    yield f"### {_SIGNS[finding.outcome]} `{finding.contract}` {_versions(finding)}{owned}"
    yield ""
    breaking = [pair for pair in finding.changes if pair[0].breaking]
    harmless = [change for change, _ in finding.changes if not change.breaking]
    if breaking:
        yield "| What breaks | For whom |"
        yield "|---|---|"
        for change, consumers in breaking:
            whom = "<br>".join(_plain(line) for line in _whom(change, consumers, finding.step))
            yield f"| {_plain(change.what)} | {whom} |"
        yield ""
    if finding.cover is not None:
        yield "| Needed | Found | To do |"
        yield "|---|---|---|"
        for condition in finding.cover.conditions:
            sign = "✅" if condition.met else "❌"
            do = "" if condition.met else _plain(condition.do, code="")
            yield f"| {sign} {condition.name} | {_plain(condition.found)} | {do} |"
        yield ""
    if harmless:
        yield f"<details><summary>{_count(harmless, 'change')} that break nobody</summary>"
        yield ""
        for change in harmless:
            look = " **Look at it: no rule can tell how much it means.**" * change.look
            yield f"- {_plain(change.what)}{look}"
        yield ""
        yield "</details>"
        yield ""


# words


def _versions(finding: Finding) -> str:
    before = finding.step.before.contract.version if finding.step.before else None
    after = finding.step.after.contract.version if finding.step.after else None
    if before and after:
        return before if before == after else f"{before} → {after}"
    return f"{after} (new)" if after else f"{before} (gone)"


def _whom(change: Change, consumers: Sequence[Consumer], step: Step) -> Iterator[str]:
    """One line for each kind of consumers that a change breaks: `models: marts.a (x, y), ...`."""
    nobody = []
    for audience in Audience:
        if audience not in change.breaks:
            continue
        named = [consumer for consumer in consumers if consumer.audience is audience]
        if named:
            yield f"{audience.value}: {_names(named)}"
        elif audience is not Audience.TOPIC_CONSUMERS or step.written.contract.schema == TOPICS:
            nobody.append(audience.value)
    if nobody:
        yield f"none known: {', '.join(nobody)}"


def _names(consumers: Sequence[Consumer]) -> str:
    told = [_name(consumer) for consumer in consumers[:_NAMED]]
    if len(consumers) > _NAMED:
        told.append(f"and {len(consumers) - _NAMED} more")
    return ", ".join(told)


def _name(consumer: Consumer) -> str:
    name = consumer.label or consumer.name
    if consumer.kind == "role" or not consumer.columns:
        return name
    return f"{name} ({', '.join(consumer.columns)})"


def _count(things: Sequence[object], word: str) -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else 's'}"


def _plain(text: str, code: str = "`") -> str:
    """Text that Markdown shows as it is, and that calls nobody by @name.

    With `code` empty, backticks mark code, as they do in sentences of our own.
    """
    for sign in f"\\{code}*_[]<>|":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("@", "@\u200b").replace("\n", " ")
