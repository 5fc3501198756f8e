"""Which messages say again what another one has said: same key, same time of the event.

The last minutes of event time are kept in memory, as hashes in a few sorted runs that are merged
as they grow. Memory answers for every event from its horizon on. What is older is looked up among
the rows that have landed, so a duplicate is found however late it comes; a restart fills the
memory from there too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

#: How much event time is kept in memory, behind the newest event.
WINDOW = timedelta(minutes=5)
#: Entries (16 bytes each) up to which older ones are kept, too, and that are never exceeded.
ROOM, MOST = 2_000_000, 8_000_000

Times = npt.NDArray[np.int64]  # microseconds since 1970
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Period = tuple[datetime, datetime]
#: Gives hashes and times of what has landed in periods of event time.
LookUp = Callable[[list[Period]], tuple[Hashes, Times]]

_EPOCH = datetime(1970, 1, 1)
_ALWAYS = np.iinfo(np.int64).min
#: The memory is gone through for what is too old no more often than this.
_STEP = int(timedelta(minutes=1).total_seconds() * 1e6)
#: Older events that lie no further apart are looked up together.
_GAP = int(timedelta(minutes=10).total_seconds() * 1e6)


@dataclass(frozen=True)
class _Run:
    """Entries sorted by hash."""

    hashes: Hashes
    times: Times


class Recent:
    """The identities of a topic's events, as far as they are remembered."""

    def __init__(self, look_up: LookUp, now: Callable[[], datetime] | None = None) -> None:
        self._look_up = look_up
        self._now = now or (lambda: datetime.now(UTC).replace(tzinfo=None))
        self._runs: list[_Run] = []
        self._newest = _ALWAYS
        self._horizon = _ALWAYS

    def __len__(self) -> int:
        return sum(len(run.hashes) for run in self._runs)

    def refill(self, newest: datetime | None) -> None:
        """Forget all, and learn what has landed of the last minutes before `newest`."""
        self._runs = []
        self._newest = self._horizon = _ALWAYS
        if newest is None:
            return
        # an event dated ahead of time says nothing about the others
        until = min(newest, self._now())
        since = until - WINDOW if until - datetime.min > WINDOW else datetime.min
        self._horizon = micros(since)
        hashes, times = self._look_up([(since, max(newest, until))])
        self._newest = micros(until)
        self._add(hashes, times)

    def remember_nothing(self) -> None:
        """Forget all, and look every event up among what has landed."""
        self._runs = []
        self._newest, self._horizon = _ALWAYS, int(np.iinfo(np.int64).max)

    def first_seen(self, hashes: Hashes, times: Times) -> Mask:
        """Which of these events nobody has seen, in the order in which they came; they are now.

        Of events that are the same, the first is new.
        """
        count = len(hashes)
        if count == 0:
            return np.zeros(0, dtype=np.bool_)
        order = np.argsort(hashes, kind="stable")
        sorted_hashes, sorted_times = hashes[order], times[order]
        new = np.ones(count, dtype=np.bool_)
        new[1:] = sorted_hashes[1:] != sorted_hashes[:-1]
        for run in self._runs:
            new &= ~_contains(run, sorted_hashes, sorted_times)
        older = new & (sorted_times < self._horizon)
        if older.any():
            places = np.flatnonzero(older)
            found_hashes, found_times = self._look_up(_periods(sorted_times[places]))
            landed = _sorted(found_hashes, found_times)
            new[places] = ~_contains(landed, sorted_hashes[places], sorted_times[places])
        self._add_run(_Run(sorted_hashes[new], sorted_times[new]))
        self._newest = max(self._newest, self._guarded(sorted_times))
        self._forget()
        unsorted = np.empty(count, dtype=np.bool_)
        unsorted[order] = new
        return unsorted

    def _guarded(self, times: Times) -> int:
        """The newest of `times` that is not ahead of the clock."""
        past = times[times <= micros(self._now())]
        return int(past.max()) if len(past) else _ALWAYS

    def _add(self, hashes: Hashes, times: Times) -> None:
        self._add_run(_sorted(hashes, times))

    def _add_run(self, run: _Run) -> None:
        """Add a run; runs of like size are merged, so that there are few."""
        if len(run.hashes) == 0:
            return
        while self._runs and len(self._runs[-1].hashes) < 4 * len(run.hashes):
            last = self._runs.pop()
            run = _sorted(
                np.concatenate([last.hashes, run.hashes]), np.concatenate([last.times, run.times])
            )
        self._runs.append(run)

    def _forget(self) -> None:
        """Drop what is older than the window where there is too much, and more if need be."""
        if len(self) <= ROOM or self._newest == _ALWAYS:
            return
        horizon = self._newest - int(WINDOW.total_seconds() * 1e6)
        if self._horizon == _ALWAYS or horizon > self._horizon + _STEP:
            self._forget_before(horizon)
        if len(self) > MOST:
            times = np.concatenate([run.times for run in self._runs])
            self._forget_before(int(np.median(times)))

    def _forget_before(self, horizon: int) -> None:
        if horizon <= self._horizon:
            return
        self._horizon = horizon
        kept = []
        for run in self._runs:
            recent = run.times >= horizon
            if recent.any():
                kept.append(_Run(run.hashes[recent], run.times[recent]))
        self._runs = kept


def micros(moment: datetime) -> int:
    """A time (UTC, no zone) as microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time)


def _sorted(hashes: Hashes, times: Times) -> _Run:
    # a merge of sorted runs, which this sort notices
    order = np.argsort(hashes, kind="stable")
    return _Run(hashes[order], times[order])


def _contains(run: _Run, hashes: Hashes, times: Times) -> Mask:
    """Which of these (sorted by hash) the run holds."""
    if len(run.hashes) == 0:
        return np.zeros(len(hashes), dtype=np.bool_)
    places = np.searchsorted(run.hashes, hashes)
    places[places == len(run.hashes)] = 0
    # the time is within the hash already; compared, too, it makes chance too small to matter
    found: Mask = (run.hashes[places] == hashes) & (run.times[places] == times)
    return found


def _periods(times: Iterable[int]) -> list[Period]:
    """Periods that hold all of `times`, without long stretches in which there is none."""
    ordered = np.unique(np.asarray(times, dtype=np.int64))
    breaks = np.flatnonzero(np.diff(ordered) > _GAP)
    firsts = ordered[np.concatenate([[0], breaks + 1])]
    lasts = ordered[np.concatenate([breaks, [len(ordered) - 1]])]
    return [(_moment(int(a)), _moment(int(b))) for a, b in zip(firsts, lasts, strict=True)]
