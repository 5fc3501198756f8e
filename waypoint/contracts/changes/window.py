"""The migration window: how long the old version goes on, counted from when.

It is counted from the day on which the change goes in: the day (UTC) of the commit, on the first
parent's line since the base, that brought the new version and the old one's end. On the merge of a
pull request that is the day of the merge. As long as it is not committed, the day is today. Nor
does the window begin before the last consumer was told.
"""

from __future__ import annotations

from datetime import date, timedelta

from waypoint.contracts.changes.conditions import Condition
from waypoint.contracts.changes.pairing import Event
from waypoint.contracts.changes.transition import Transition, contract_in, is_over
from waypoint.contracts.model import Contract

#: How long the old version goes on, at least.
WINDOW = timedelta(days=14)


def window(transition: Transition) -> Condition:
    """The old version deprecated, and its end far enough ahead."""
    met, found, do = _window(transition)
    return Condition("window", met, found, do)


def _window(transition: Transition) -> tuple[bool, str, str]:
    if transition.step.event is Event.REMOVED:
        return _removal(transition)
    standing, new = transition.standing, transition.new
    if new is None or standing is None:
        return _in_place(transition)
    if standing.status != "deprecated" or standing.end_of_life is None:
        earliest = transition.site.today + WINDOW
        found = f"{standing.path.name} (version {standing.version}) is not deprecated with a date"
        do = (
            f"in {standing.path.name}: `status: deprecated`, and under slaProperties"
            f' `{{property: endOfLife, value: "{earliest}"}}` or later'
        )
        return False, found, do
    begins = _begins(transition, standing, new)
    lasts = (standing.end_of_life - begins).days
    found = f"version {standing.version} ends on {standing.end_of_life}, {lasts} days from {begins}"
    if standing.end_of_life < begins + WINDOW:
        do = f"set endOfLife in {standing.path.name} to {begins + WINDOW} or later"
        return False, f"{found}: consumers have {WINDOW.days} at least", do
    return True, found, ""


def _begins(transition: Transition, old: Contract, new: Contract) -> date:
    def ends_then(data: bytes | None) -> bool:
        then = contract_in(old.path, data)
        return then is not None and (then.status, then.end_of_life) == (old.status, old.end_of_life)

    def is_there(data: bytes | None) -> bool:
        then = contract_in(new.path, data)
        return then is not None and then.major == new.major

    site, notice = transition.site, transition.notice
    days = [site.went_in(old.path, ends_then), site.went_in(new.path, is_there)]
    if notice is not None and notice.complete_on is not None:
        days.append(notice.complete_on)
    return max(days)


def _removal(transition: Transition) -> tuple[bool, str, str]:
    old = transition.old
    if old.status != "deprecated" or old.end_of_life is None:
        do = (
            f"put {old.path.name} back, deprecate it with an endOfLife at least {WINDOW.days} days"
            " ahead, and remove it on that day or later"
        )
        return False, f"version {old.version} was never deprecated with a date", do
    went = transition.site.removal_day(old)
    if is_over(old, went):
        return True, f"version {old.version} was to end on {old.end_of_life}; it went on {went}", ""
    do = f"put {old.path.name} and its model back; remove them on {old.end_of_life} or later"
    return False, f"version {old.version} is promised until {old.end_of_life}", do


def _in_place(transition: Transition) -> tuple[bool, str, str]:
    """The change was made in the version that consumers read, or took its place."""
    old, standing = transition.old, transition.standing
    if standing is None:
        found = f"version {old.version} is gone, without an end that was announced"
    else:
        found = f"the change is made in version {standing.version} itself"
    return False, found, _how_to_split(transition)


def _how_to_split(transition: Transition) -> str:
    old = transition.old
    next_major = old.major + 1
    renamed = transition.is_built_here and not old.versioned_as
    name = f"{old.family}-v{old.major}.yaml" if renamed else old.path.name
    kept = f"keep it as it was{f', renamed {name}' if renamed else f' in {name}'}"
    return (
        f"{kept}, with `status: deprecated` and an endOfLife at least {WINDOW.days} days ahead;"
        f" make the change in {old.family}-v{next_major}.yaml, version {next_major}.0.0"
    )
