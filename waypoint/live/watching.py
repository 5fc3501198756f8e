"""How the stream does while it runs: what the loader measures, and a table of it to look at."""

from __future__ import annotations

import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

from rich.table import Table

from waypoint.live.sending import Sources

_TIMEOUT = 2.0
_COUNTED = {
    "waypoint_stream_rows_total": "landed",
    "waypoint_stream_rejects_total": "dead_letters",
    "waypoint_stream_duplicates_total": "duplicates",
    "waypoint_stream_late_total": "late",
    "waypoint_stream_lag": "lag",
}
_SPAN = 5.0  # seconds that a rate is of


@dataclass
class Seen:
    """What is known of one topic now."""

    produced: int = 0
    refused: int = 0
    landed: int = 0
    dead_letters: int = 0
    duplicates: int = 0
    late: int = 0
    lag: int = 0


@dataclass
class Watch:
    """What is seen of all topics; rates are of the last seconds."""

    topics: tuple[str, ...]
    sources: Sources
    address: str
    _history: list[tuple[float, dict[str, tuple[int, int]]]] = field(default_factory=list)
    _last: dict[str, Mapping[str, int]] = field(default_factory=dict)

    def look(self) -> dict[str, Seen]:
        """Each topic as it is now; where the loader does not answer, as it was last."""
        with (
            suppress(OSError, ValueError),
            urllib.request.urlopen(self.address, timeout=_TIMEOUT) as answer,
        ):
            self._last = _measured(answer.read().decode())
        seen = {
            topic: Seen(
                produced=self.sources.produced[topic],
                refused=self.sources.refused[topic],
                **self._last.get(topic, {}),
            )
            for topic in self.topics
        }
        now = monotonic()
        self._history.append((now, {t: (s.produced, s.landed) for t, s in seen.items()}))
        while self._history[0][0] < now - _SPAN:
            self._history.pop(0)
        return seen

    def rates(self) -> dict[str, tuple[float, float]]:
        """Messages a second that were produced and landed, by topic."""
        if len(self._history) < 2:
            return dict.fromkeys(self.topics, (0.0, 0.0))
        (began, first), (ended, last) = self._history[0], self._history[-1]
        span = max(ended - began, 0.001)
        return {
            topic: (
                (last[topic][0] - first[topic][0]) / span,
                (last[topic][1] - first[topic][1]) / span,
            )
            for topic in self.topics
        }

    def table(self, title: Callable[[], str]) -> Table:
        """What is seen now, to be drawn."""
        seen, rates = self.look(), self.rates()
        shown = Table(title=title(), title_justify="left", box=None, pad_edge=False)
        shown.add_column("topic")
        for heading in ("sent/s", "sent", "landed/s", "landed", "dead", "again", "late", "lag"):
            shown.add_column(heading, justify="right")
        for topic in self.topics:
            one, (sent, landed) = seen[topic], rates[topic]
            shown.add_row(
                topic,
                f"{sent:,.0f}",
                f"{one.produced:,}",
                f"{landed:,.0f}",
                f"{one.landed:,}",
                f"[red]{one.dead_letters:,}[/]" if one.dead_letters else "0",
                f"{one.duplicates:,}",
                f"{one.late:,}",
                f"[yellow]{one.lag:,}[/]" if one.lag else "0",
            )
        whole = list(seen.values())
        shown.add_section()
        shown.add_row(
            "all",
            f"{sum(rate for rate, _ in rates.values()):,.0f}",
            f"{sum(one.produced for one in whole):,}",
            f"{sum(rate for _, rate in rates.values()):,.0f}",
            f"{sum(one.landed for one in whole):,}",
            f"{sum(one.dead_letters for one in whole):,}",
            f"{sum(one.duplicates for one in whole):,}",
            f"{sum(one.late for one in whole):,}",
            f"{sum(one.lag for one in whole):,}",
            style="bold",
        )
        return shown


def _measured(text: str) -> dict[str, Mapping[str, int]]:
    """Prometheus' text as counts by topic."""
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for line in text.splitlines():
        told, _, value = line.rpartition(" ")
        name, _, labels = told.partition("{")
        if name in _COUNTED and 'topic="' in labels:
            topic = labels.partition('topic="')[2].partition('"')[0]
            found[topic][_COUNTED[name]] += int(float(value))
    return {topic: dict(counts) for topic, counts in found.items()}
