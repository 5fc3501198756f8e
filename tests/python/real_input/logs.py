"""Logs of eight systems, as messages of the application log.

What is sent comes from the raw logs: lines that end with CRLF, the last one with nothing. What must
come out comes from loghub's own parse of them. Two systems (Linux, OpenSSH) log no severity, which
the log topic requires: it is said to be `none`. Neither says the year: it is taken to be 2005.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from real_input.dumps import Dumps, iso

_YEAR = 2005


@dataclass(frozen=True)
class System:
    """How a system writes its lines (named groups: at, level, message) and its times."""

    line: str
    time: str

    def parse(self, line: str) -> tuple[datetime, str, str]:
        """Time, level and message of a line."""
        found = re.fullmatch(self.line, line)
        assert found is not None, line
        parts = found.groupdict()
        if "%Y" in self.time or "%y" in self.time:
            at = datetime.strptime(parts["at"], self.time)
        else:
            at = datetime.strptime(f"{_YEAR} {parts['at']}", f"%Y {self.time}")
        return at, parts.get("level") or "none", parts["message"]


_SYSLOG = r"(?P<at>\w{3} +\d+ [\d:]{8}) \S+ (?P<component>.*?)(\[\d+\])?: (?P<message>.*)"
SYSTEMS = {
    "Apache": System(
        r"\[(?P<at>[^]]*)\] \[(?P<level>\w+)\] (?P<message>.*)", "%a %b %d %H:%M:%S %Y"
    ),
    "HDFS": System(r"(?P<at>\d{6} \d{6}) \d+ (?P<level>\w+) \S+: (?P<message>.*)", "%y%m%d %H%M%S"),
    "Hadoop": System(
        r"(?P<at>\S+ \S+) (?P<level>\w+) \[.*?\] \S+: (?P<message>.*)", "%Y-%m-%d %H:%M:%S,%f"
    ),
    "Linux": System(_SYSLOG, "%b %d %H:%M:%S"),
    "OpenSSH": System(_SYSLOG, "%b %d %H:%M:%S"),
    "Spark": System(r"(?P<at>\S+ \S+) (?P<level>\w+) \S+: (?P<message>.*)", "%y/%m/%d %H:%M:%S"),
    "Windows": System(
        r"(?P<at>\S+ [\d:]+), (?P<level>\w+) +(?P<component>\w+) +(?P<message>.*)",
        "%Y-%m-%d %H:%M:%S",
    ),
    "Zookeeper": System(
        r"(?P<at>\S+ \S+) - (?P<level>\w+) +\[.*?\] - (?P<message>.*)", "%Y-%m-%d %H:%M:%S,%f"
    ),
}


@dataclass(frozen=True)
class Loghub:
    """The logs, and what is true of them."""

    folder: Path

    def dump(self, dumps: Dumps) -> None:
        for name, system in SYSTEMS.items():
            with dumps.file("topic_app_logs", f"{name.lower()}.ndjson") as dump:
                for number, line in enumerate(self.lines(name), 1):
                    at, level, message = system.parse(line)
                    entry = {
                        "log_id": f"{name}-{number}",
                        "service": name,
                        "level": level,
                        "message": message,
                        "timestamp": iso(at),
                        "attributes": {"line": number},
                    }
                    dump.send(name, entry, at)

    def lines(self, system: str) -> list[str]:
        """The lines of a raw log, without their ends; the last one may have none."""
        text = (self.folder / system / f"{system}_2k.log").read_bytes().decode()
        lines = text.split("\r\n")
        return lines if lines[-1] else lines[:-1]

    # what must come out, as loghub's own parse has it

    def messages(self) -> dict[str, str]:
        """Log id and message, without the spaces around it."""
        return {
            f"{system}-{row['LineId']}": row["Content"].strip()
            for system in SYSTEMS
            for row in self._parsed(system)
        }

    def by_service_and_level(self) -> Counter[tuple[str, str]]:
        """Lines by system and severity, in our five words for it."""
        words = {"notice": "INFO", "none": "OTHER"}
        counts: Counter[tuple[str, str]] = Counter()
        for system in SYSTEMS:
            for row in self._parsed(system):
                # the host's name stands in this column of Linux, OpenSSH has none
                level = "none" if system in ("Linux", "OpenSSH") else row["Level"]
                counts[system, words.get(level, level.upper())] += 1
        return counts

    def _parsed(self, system: str) -> list[dict[str, str]]:
        path = self.folder / system / f"{system}_2k.log_structured.csv"
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
