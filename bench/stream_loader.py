"""The stream's loader against bare consumption, on a real broker.

    python bench/stream_loader.py --events 1000000 --json
    python bench/stream_loader.py --quix /tmp/quix/bin/python --beside-build

A broker is started, a topic of this project filled with events of 405 bytes (1% of them sent
twice, 0.2% broken), and read by processes of their own, one after the other: bare (consume and look
at each value, nothing kept), by one loader, and by two that share it; with `--quix`, by
quixstreams, too. Each is measured from its first messages (the loader from its first commit) to its
last ones. Then events are sent at a steady rate while a loader runs, and each new file is queried
as soon as it is there; the first seconds, while the broker gets warm, are not counted. With
`--beside-build` that is done once more while what has landed is loaded and built again and again.
Ratios are of one run on one machine; CPU is that of the reading process, the broker's not counted.

quixstreams is no part of this project. `--quix` names a Python that has it:
`uv venv /tmp/quix && uv pip install --python /tmp/quix/bin/python quixstreams`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from stream_events import PARTITIONS, TOPIC, produce, steady

from ingestion import footers

ROOT = Path(__file__).parents[1]
TABLE = "app_events"
#: Seconds of the steady rate that are not counted: a broker that has just begun runs Java code that
#: is not compiled yet, and is slower than that rate.
WARM = 5.0

GOALS = {
    "ratio_to_bare": (">=", 0.45),
    "cpu_us_per_event": ("<=", 2.5),
    "peak_mib": ("<=", 600),
    "latency_p50_ms": ("<=", 80),
    "latency_p99_ms": ("<=", 150),
    "latency_beside_build_p99_ms": ("<=", 1000),
    "ratio_to_quixstreams": (">=", 10),
}
#: What is built again and again beside the loader.
BUILT = "app_event_counts_5m event_latency_1m"


def bare(bootstrap: str, messages: int) -> dict[str, float]:
    """Consume all there is and keep nothing."""
    from confluent_kafka import Consumer

    from ingestion.stream.consuming import SETTINGS

    consumer = Consumer(
        {**SETTINGS, "bootstrap.servers": bootstrap, "group.id": f"bare-{time.time_ns()}",
         "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )  # fmt: skip
    consumer.subscribe([TOPIC])
    seen = size = 0
    start = cpu = 0.0
    while seen < messages:
        for message in consumer.consume(10_000, 0.5):
            if message.error() is None:
                size += len(message.value() or b"")
                seen += 1
        if not start and seen:
            start, cpu, first = time.perf_counter(), time.process_time(), seen
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    consumer.close()
    return {"wall": wall, "cpu": cpu, "events": seen - first}


def load(state: str, group: str, seconds: float | None) -> dict[str, Any]:
    """Run a loader over all there is, or for so long."""
    from ingestion.stream.starting import chosen_topics, loader
    from waypoint.project import Project

    project = Project(root=ROOT, state=Path(state))
    topics, _ = chosen_topics(project, [TOPIC])
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    reader = loader(project, topics, group=group, stop=stop)
    seen: list[tuple[float, float, int]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            (totals,) = reader.totals()
            if totals.read and (not seen or totals.read != seen[-1][2]):
                seen.append((time.time(), time.process_time(), totals.read))
                del seen[1:-1]

    watching = threading.Thread(target=watch)
    watching.start()
    summary = reader.run(seconds is None, seconds)
    done.set()
    watching.join()
    (totals,) = summary.topics
    begun, ended = (seen[0], seen[-1]) if seen else ((0.0, 0.0, 0), (0.0, 0.0, 0))
    return {
        "from": begun[0],
        "to": ended[0],
        "cpu": ended[1] - begun[1],
        "events": ended[2] - begun[2],
        "read": totals.read,
        "landed": totals.landed,
        "dead_letters": totals.dead_letters,
        "duplicates": totals.duplicates,
        "batches": totals.batches,
        "peak_mib": _peak(),
    }


def _peak() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return 0


class Bench:
    """A broker with the topic, and readers in processes of their own."""

    def __init__(self, folder: Path, bootstrap: str) -> None:
        self.folder, self.bootstrap = folder, bootstrap

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(Path(__file__)), "--part", *words],
            cwd=ROOT,
            env={**os.environ, "WAYPOINT_KAFKA": self.bootstrap},
            stdout=subprocess.PIPE,
            text=True,
        )

    def result(self, process: subprocess.Popen[str]) -> Any:
        out, _ = process.communicate()
        if process.returncode:
            sys.exit(f"{process.args} failed")
        return json.loads(out.splitlines()[-1])

    def quix(self, python: str, messages: int) -> Any:
        file = str(ROOT / "bench" / "quix_counting.py")
        process = subprocess.Popen(
            [python, file, self.bootstrap, TOPIC, str(min(messages, 200_000))],
            stdout=subprocess.PIPE,
            text=True,
        )
        return self.result(process)

    def loader(self, name: str, *more: str) -> subprocess.Popen[str]:
        return self.start("load", str(self.folder / name), f"bench-{name}", *more)

    def together(self, messages: int) -> dict[str, Any]:
        """Two loaders that share the topic: what both did, from the first commit to the last."""
        pair = [self.loader("two", "3600") for _ in range(2)]
        batches = self.folder / "two/landing" / TABLE / "stream"
        seen: set[Path] = set()
        read = 0
        while read < messages:
            time.sleep(0.2)
            assert all(process.poll() is None for process in pair)
            new = [path for path in batches.rglob("*.parquet") if path not in seen]
            read += sum(landed.read for landed in footers.read_footers(new))
            seen.update(new)
        for process in pair:
            process.terminate()
        found = [self.result(process) for process in pair]
        worked = [one for one in found if one["events"]]
        begun, ended = min(one["from"] for one in worked), max(one["to"] for one in worked)
        events = sum(one["events"] for one in worked)
        return {"per_s": events / (ended - begun), "shares": sorted(o["read"] for o in found)}


def made(bootstrap: str, name: str, partitions: int) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap})
    for topic in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        topic.result(30)


def run(
    events: int, rate: int, seconds: float, quix: str | None, beside_build: bool
) -> dict[str, Any]:
    from waypoint.services.kafka import running_kafka

    with tempfile.TemporaryDirectory(prefix="waypoint-bench-") as name:
        folder = Path(name)
        with running_kafka(folder / "kafka") as kafka:
            bench = Bench(folder, kafka.bootstrap)
            made(kafka.bootstrap, TOPIC, PARTITIONS)
            made(kafka.bootstrap, f"{TOPIC}.dlq", 1)
            sent = produce(kafka.bootstrap, events)
            plain = bench.result(bench.start("bare", kafka.bootstrap, str(sent)))
            one = bench.result(bench.loader("one"))
            two = bench.together(sent)
            again = bench.result(bench.start("bare", kafka.bootstrap, str(sent)))
            other = bench.quix(quix, sent) if quix else None
            live = latency(bench, rate, seconds, False) if rate else []
            built = latency(bench, rate, seconds, True) if rate and beside_build else []
    assert one["read"] == sum(two["shares"]) == sent, (one, two, sent)
    bare_per_s = sum(r["events"] for r in (plain, again)) / sum(r["wall"] for r in (plain, again))
    per_s = one["events"] / (one["to"] - one["from"])
    result: dict[str, Any] = {
        "messages": sent,
        "bare_per_s": round(bare_per_s),
        "bare_cpu_us": round(plain["cpu"] / plain["events"] * 1e6, 2),
        "loader_per_s": round(per_s),
        "ratio_to_bare": round(per_s / bare_per_s, 3),
        "cpu_us_per_event": round(one["cpu"] / one["events"] * 1e6, 2),
        "peak_mib": one["peak_mib"],
        "two_loaders_to_one": round(two["per_s"] / per_s, 2),
        "two_loaders_read": two["shares"],
        "batches": one["batches"],
        "landed": one["landed"], "dead_letters": one["dead_letters"],
        "duplicates": one["duplicates"],
    }  # fmt: skip
    if other:
        result |= {
            "quixstreams_per_s": round(other["events"] / other["wall"]),
            "quixstreams_cpu_us": round(other["cpu"] / other["events"] * 1e6, 2),
            "ratio_to_quixstreams": round(per_s / (other["events"] / other["wall"]), 2),
        }
    return result | _percentiles("latency", live) | _percentiles("latency_beside_build", built)


def _percentiles(name: str, waits: list[float]) -> dict[str, Any]:
    if not waits:
        return {}
    waits.sort()
    return {
        f"{name}_events": len(waits),
        f"{name}_p50_ms": round(waits[len(waits) // 2]),
        f"{name}_p99_ms": round(waits[int(len(waits) * 0.99)]),
    }


def latency(bench: Bench, rate: int, seconds: float, beside_build: bool) -> list[float]:
    """Milliseconds from each event being handed over until a query finds it."""
    state = bench.folder / "live"
    # it has to catch up first, in the same state
    bench.result(bench.loader("live"))
    before = set((state / "landing").rglob("*.parquet"))
    writers = state / "stream" / f"{TOPIC}.writers.json"
    known = writers.stat().st_mtime_ns
    reader = bench.start("load", str(state), "bench-live", str(seconds + 40))
    while writers.stat().st_mtime_ns == known:
        time.sleep(0.1)  # it has not taken the partitions up yet
    time.sleep(2)
    building = bench.start("build", str(state), str(seconds)) if beside_build else None
    sender = bench.start("steady", bench.bootstrap, str(rate), str(seconds))
    found = watched(state, reader, before)
    bench.result(sender)
    bench.result(reader)
    if building:
        print(f"built beside it: {bench.result(building)} times", file=sys.stderr)
    return found


def build(state: str, seconds: float) -> int:
    """Load and build what has landed again and again for so long; how often that was."""
    waypoint = [sys.executable, "-m", "waypoint.cli.app"]
    selected = ["build", "--", "--select", *(f"+{name}" for name in BUILT.split())]
    end, times = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for words in (["load"], selected):
            done = subprocess.run(
                [*waypoint, *words],
                env={**os.environ, "WAYPOINT_STATE": state},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # the tables of other sources are empty here, which some tests refuse
            assert done.returncode in (0, 1), (words, done.returncode)
        times += 1
    return times


def watched(state: Path, reader: subprocess.Popen[str], before: set[Path]) -> list[float]:
    """Query each file as soon as it is there."""
    import duckdb

    folder = state / "landing" / TABLE / "stream"
    seen = set(before)
    found: list[tuple[int, float]] = []
    with duckdb.connect() as connection:
        while reader.poll() is None:
            # files land in the folder of the hour
            newest = sorted(folder.glob("*/*"))[-2:]
            new = [p for hour in newest for p in hour.glob("*.parquet") if p not in seen]
            seen.update(new)
            if new:
                rows = connection.execute(
                    f"select cast(session_id as bigint) from read_parquet({list(map(str, new))})"
                ).fetchnumpy()
                now = time.time_ns()
                found += [(int(at), (now - int(at)) / 1e6) for at in rows.popitem()[1]]
            time.sleep(0.005)
    counted = min(at for at, _ in found) + WARM * 1e9
    return [waited for at, waited in found if at >= counted]


def report(result: dict[str, Any], as_json: bool) -> None:
    goals = {
        name: {"goal": f"{sign} {goal}", "met": _met(result[name], sign, goal)}
        for name, (sign, goal) in GOALS.items()
        if name in result
    }
    if as_json:
        print(json.dumps(result | {"goals": goals}, indent=2))
        return
    for name, value in result.items():
        told = goals.get(name)
        words = f"   (goal {told['goal']}: {'met' if told['met'] else 'missed'})" if told else ""
        print(f"{name:32} {value}{words}")


def _met(value: float, sign: str, goal: float) -> bool:
    return value >= goal if sign == ">=" else value <= goal


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=10_000, help="events a second; 0: no latency")
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long, at that rate")
    parser.add_argument("--quix", metavar="PYTHON", help="a Python that has quixstreams")
    parser.add_argument("--beside-build", action="store_true", help="latency beside a build, too")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    match options.part:
        case None:
            told = (options.quix, options.beside_build)
            report(run(options.events, options.rate, options.seconds, *told), options.json)
        case ["bare", bootstrap, messages]:
            print(json.dumps(bare(bootstrap, int(messages))))
        case ["load", state, group, *more]:
            print(json.dumps(load(state, group, float(more[0]) if more else None)))
        case ["steady", bootstrap, rate, seconds]:
            steady(bootstrap, int(rate), float(seconds))
            print("{}")
        case ["build", state, seconds]:
            print(json.dumps(build(state, float(seconds))))


if __name__ == "__main__":
    main()
