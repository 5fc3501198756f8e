"""GitHub's event stream, a shop's clicks and a web server's access log, as app events and clicks.

How it maps:
- an event of GitHub is an app event of the same type, whose id is a UUID made of GitHub's; repo and
  payload, nested as they are, are its properties
- a view, cart or purchase of REES46 is a click on the product's page, on the element of that name
- a request in the access log is a page view of a user whose id is the address; one line was cut
  off and cannot be taken apart, so it is sent as it is
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from real_input.dumps import Dumps, iso

_REQUEST = re.compile(
    r'(?P<address>\S+) \S+ \S+ \[(?P<at>[^]]+)\] "(?P<method>\S+) (?P<path>\S+)[^"]*"'
    r' (?P<status>\d{3}) (?P<bytes>-|\d+) "(?P<referrer>.*?)" "(?P<agent>.*)"'
)


@dataclass(frozen=True)
class GitHub:
    """The file of events, and what is true of it."""

    path: Path

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        with gzip.open(self.path, "rt", encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def dump(self, dumps: Dumps) -> None:
        with dumps.file("topic_app_events", "github.ndjson.gz") as dump:
            for event in self.events:
                at = _utc(event["created_at"])
                message = {
                    "event_id": github_event_id(event["id"]),
                    "event_type": event["type"],
                    "user_id": event["actor"]["id"],
                    "session_id": None,
                    "app_type": "api",
                    "timestamp": iso(at),
                    "properties": {"repo": event["repo"], "payload": event["payload"]},
                }
                dump.send(event["actor"]["id"], message, at)

    # what must come out, straight from the file

    def by_type(self) -> Counter[str]:
        return Counter(event["type"] for event in self.events)

    def by_window_and_type(self) -> dict[tuple[datetime, str], tuple[int, int]]:
        """By start of the five minutes and type: events, and actors."""
        events: Counter[tuple[datetime, str]] = Counter()
        actors: dict[tuple[datetime, str], set[int]] = {}
        for event in self.events:
            at = _utc(event["created_at"])
            window = at.replace(minute=at.minute - at.minute % 5, second=0), event["type"]
            events[window] += 1
            actors.setdefault(window, set()).add(event["actor"]["id"])
        return {window: (events[window], len(actors[window])) for window in events}

    def properties(self) -> dict[str, dict[str, Any]]:
        """Event id and what the event carries."""
        return {
            github_event_id(event["id"]): {"repo": event["repo"], "payload": event["payload"]}
            for event in self.events
        }


@dataclass(frozen=True)
class Rees46:
    """The file of shop events, and what is true of it."""

    path: Path

    @cached_property
    def events(self) -> list[dict[str, str]]:
        with self.path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def dump(self, dumps: Dumps) -> None:
        with dumps.file("topic_clickstream", "rees46.ndjson") as dump:
            for number, event in enumerate(self.events, 1):
                at = datetime.strptime(event["event_time"], "%Y-%m-%d %H:%M:%S UTC")
                category = event["category_code"]
                click = {
                    "click_id": f"rees46-{number}",
                    "user_id": int(event["user_id"]),
                    "session_id": event["user_session"],
                    "page_url": f"https://shop.example/products/{event['product_id']}"
                    + (f"?category={category}" if category else ""),
                    "element_id": event["event_type"],
                    "timestamp": iso(at),
                }
                dump.send(event["user_id"], click, at)

    # what must come out, straight from the file

    def by_type(self) -> Counter[str]:
        return Counter(event["event_type"] for event in self.events)

    def without_category(self) -> int:
        return sum(not event["category_code"] for event in self.events)


@dataclass(frozen=True)
class AccessLog:
    """The file of requests, and what is true of it."""

    path: Path

    @cached_property
    def lines(self) -> list[str]:
        with gzip.open(self.path, "rt", encoding="utf-8", newline="\n") as file:
            return file.read().removesuffix("\n").split("\n")

    def dump(self, dumps: Dumps) -> None:
        sent_at = _requested_at("20/May/2015:21:05:59 +0000")
        with dumps.file("topic_app_events", "access-log.ndjson") as dump:
            for number, line in enumerate(self.lines, 1):
                found = _REQUEST.fullmatch(line)
                if found is None:
                    dump.send("?", line, sent_at)
                    continue
                at = _requested_at(found["at"])
                user = int(IPv4Address(found["address"]))
                message = {
                    "event_id": str(uuid5(NAMESPACE_URL, f"access-log/{number}")),
                    "event_type": "page_view",
                    "user_id": user,
                    "session_id": None,
                    "app_type": "web",
                    "timestamp": iso(at),
                    "properties": {
                        "page": found["path"],
                        "method": found["method"],
                        "status": int(found["status"]),
                        "bytes": None if found["bytes"] == "-" else int(found["bytes"]),
                        "referrer": None if found["referrer"] == "-" else found["referrer"],
                        "user_agent": found["agent"],
                    },
                }
                dump.send(user, message, at)

    # what must come out, straight from the file

    def whole_lines(self) -> int:
        """Lines that end where a line of this format ends."""
        return sum(line.endswith('"') for line in self.lines)

    def requests_by_day(self) -> Counter[str]:
        """Requests by day (2015-05-17), the line that was cut off left out."""
        return Counter(
            f"2015-05-{line.split('[', 1)[1][:2]}" for line in self.lines if line.endswith('"')
        )

    def addresses(self) -> int:
        return len({line.split(" ", 1)[0] for line in self.lines if line.endswith('"')})

    def bytes_sent(self) -> int:
        """Bytes of all answers; where the log says `-`, there were none."""
        sizes = (line.split('" ', 1)[1].split(" ")[1] for line in self.lines if line.endswith('"'))
        return sum(int(size) for size in sizes if size != "-")


def github_event_id(number: str) -> str:
    """The UUID that stands for GitHub's number of an event."""
    return str(uuid5(NAMESPACE_URL, f"gharchive/{number}"))


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def _requested_at(text: str) -> datetime:
    return datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").astimezone(UTC).replace(tzinfo=None)
