"""Telling the consumers of a contract what breaks and until when, and putting that on record."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from waypoint.contracts.changes.affected import Consumer
from waypoint.contracts.changes.checking import Finding
from waypoint.contracts.changes.conditions import decision
from waypoint.contracts.changes.notices import Notice, Told, write_notice
from waypoint.contracts.changes.transition import Transition
from waypoint.contracts.changes.window import window
from waypoint.errors import UnusableInput
from waypoint.notifying import (
    MAIL_TO,
    SLACK_WEBHOOK,
    SMTP_URL,
    Channels,
    Message,
    NotSent,
)


@dataclass(frozen=True)
class Announced:
    """What came of telling: who was told now, who had been told, who cannot be."""

    message: Message
    notice: Notice
    told_now: tuple[Told, ...]
    unreachable: tuple[Consumer, ...]


def announce(
    finding: Finding,
    channels: Channels,
    sent_by: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Announced:
    """Tell every consumer who has not been told, and keep the record after each message.

    Raises:
        UnusableInput: nothing breaks, no end is set, or no channel is configured.
        NotSent: a channel failed; who was told before is on record, so it can be run again.
    """
    transition = _to_announce(finding)
    if not channels.any:
        raise UnusableInput(
            "there is no channel to tell anybody by",
            hint=f"set {SLACK_WEBHOOK}, or {SMTP_URL} and WAYPOINT_MAIL_FROM",
        )
    message = message_about(finding)
    notice = transition.notice or _new_notice(transition, message, sent_by)
    waiting = notice.missing(transition.to_be_told)
    told: list[Told] = []
    for batch in _sent(message, waiting, channels, now):
        told.extend(batch)
        notice = notice.and_told(batch)
        write_notice(transition.notice_path, notice)
    reached = {(one.kind, one.name) for one in told}
    unreachable = tuple(consumer for consumer in waiting if consumer.key not in reached)
    return Announced(message, notice, tuple(told), unreachable)


def message_about(finding: Finding) -> Message:
    """What consumers are told, in people's words.

    Raises:
        UnusableInput: nothing breaks, or no end of the old version is set.
    """
    transition = _to_announce(finding)
    old, new, standing = transition.old, transition.new, transition.standing
    ends = standing.end_of_life if standing else old.end_of_life
    name = old.family_name
    follows = f"version {new.version} replaces {old.version}" if new else "it ends"
    lines = [
        f"{name}: {old.description}",
        "",
        f"What breaks{f', says {old.owner}' if old.owner else ''}:",
        *(f"- {what}" for what in _what_breaks(finding)),
        "",
        _what_to_do(transition),
        "",
        "Who is concerned:",
        *(f"- {_who(consumer)}" for consumer in transition.to_be_told),
    ]
    reason = decision(transition)
    if reason.met:
        lines += ["", f"Why: {reason.found.removesuffix(' says why')}"]
    return Message(f"{name} breaks on {ends}: {follows}", "\n".join(lines) + "\n")


def _what_breaks(finding: Finding) -> list[str]:
    breaking = [change.what for change, _ in finding.changes if change.breaking]
    return breaking or ["the table is built no more"]


def _to_announce(finding: Finding) -> Transition:
    transition = finding.transition
    if transition is None:
        raise UnusableInput(f"{finding.contract}: nothing breaks, so there is nothing to tell")
    standing = transition.standing
    ends = standing.end_of_life if standing else transition.old.end_of_life
    if ends is None:
        missing = window(transition)
        raise UnusableInput(
            f"{finding.contract}: consumers must be told until when they can stay; {missing.found}",
            hint=missing.do,
        )
    return transition


def _new_notice(transition: Transition, message: Message, sent_by: str) -> Notice:
    standing = transition.standing or transition.old
    return Notice(
        contract=transition.old.family_name,
        version=transition.version,
        replaces=transition.old.version if transition.new else "",
        ends=standing.end_of_life,
        message=f"{message.subject}\n\n{message.text}",
        sent_by=sent_by,
    )


def _what_to_do(transition: Transition) -> str:
    new, standing = transition.new, transition.standing or transition.old
    if new is None:
        return f"It is built until {standing.end_of_life}, and then no more."
    same = f"{standing.full_name} stays as it is until {standing.end_of_life}"
    if transition.is_built_here and standing.versioned_as:
        same += f", and {standing.family_name} leads to it until then"
    return f"{same}. Move to {new.full_name} before that day."


def _who(consumer: Consumer) -> str:
    owner = f", {consumer.owner}" if consumer.owner else ""
    return f"{consumer.kind}: {consumer.label or consumer.name}{owner}"


def _sent(
    message: Message,
    waiting: Sequence[Consumer],
    channels: Channels,
    now: Callable[[], datetime],
) -> Iterator[list[Told]]:
    """Those who were told by each message that went out: one post for all, one mail an address."""
    if not waiting:
        return
    failures: list[NotSent] = []
    if channels.slack is not None:
        try:
            channels.slack.send(message)
            yield [_told(one, "slack", channels.slack.channel, now()) for one in waiting]
        except NotSent as error:
            failures.append(error)
    if channels.mail is not None:
        for address, consumers in _by_address(waiting, channels.default_address).items():
            try:
                channels.mail.send(message, [address])
                yield [_told(one, "e-mail", address, now()) for one in consumers]
            except NotSent as error:
                failures.append(error)
    if failures:
        raise NotSent("; ".join(map(str, failures)), hint=failures[0].hint)


def _by_address(waiting: Sequence[Consumer], default: str) -> dict[str, list[Consumer]]:
    addresses: dict[str, list[Consumer]] = {}
    for consumer in waiting:
        address = consumer.email or default
        if address:
            addresses.setdefault(address, []).append(consumer)
    return addresses


def _told(consumer: Consumer, by: str, to: str, at: datetime) -> Told:
    return Told(consumer.kind, consumer.name, by, to, at.replace(microsecond=0))


def hint_for_unreachable() -> str:
    """What to do about consumers that no configured channel reaches."""
    return f"set {SLACK_WEBHOOK}, or {MAIL_TO} for those without an address of their own"
