"""The stream's loader against bare consumption, on a real broker.

    python bench/stream_loader.py --events 1000000 --json

A broker is started, a topic of this project filled with events of 405 bytes (1% of them sent
twice, 0.2% broken), and read by processes of their own, one after the other: bare (consume and look
at each value, nothing kept), by one loader, and by two that share it. Then events are sent at a
steady rate while a loader runs, and each new file is queried as soon as it is there. Ratios are of
one run on one machine; CPU is that of the reading process, the broker's not counted. A loader's
start (imports, plans, joining the group) is measured by one that finds nothing to read, and taken
off.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID

ROOT = Path(__file__).parents[1]
TOPIC, TABLE, PARTITIONS = "topic_app_events", "app_events", 6
SIZE = 405

GOALS = {
    "ratio_to_bare": (">=", 0.45),
    "cpu_us_per_event": ("<=", 2.5),
    "peak_mib": ("<=", 600),
    "latency_p50_ms": ("<=", 80),
    "latency_p99_ms": ("<=", 150),
}


def event(number: int, moment: float) -> bytes:
    """An event of 405 bytes."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    document = {
        "event_id": str(UUID(int=number + (4 << 76) + (8 << 60))),
        "event_type": "page_view",
        "user_id": number % 100_000,
        "session_id": str(time.time_ns()),
        "app_type": ("mobile", "web", "booking", "api")[number % 4],
        "timestamp": f"{at}.{int(moment * 1000) % 1000:03d}Z",
        "properties": {
            "page": "/hotels/lisbon", "destination": "Lisbon", "price": number % 1000 + 0.5,
            "processing_ms": number % 250, "country": "PT", "note": "",
        },
    }  # fmt: skip
    short = SIZE - len(json.dumps(document))
    document["properties"]["note"] = "x" * short
    return json.dumps(document).encode()


def produce(bootstrap: str, events: int) -> int:
    """Fill the topic; how many messages that made."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000, "batch.size": 500_000,
        }
    )  # fmt: skip
    chance = random.Random(1)
    sent = 0
    start = time.time() - events / 10_000
    for number in range(events):
        value = event(number, start + number / 10_000)
        partition = number % PARTITIONS
        copies = 2 if chance.random() < 0.01 else 1
        if chance.random() < 0.002:
            value = value[:-20]
        for _ in range(copies):
            while True:
                try:
                    producer.produce(TOPIC, value, partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
            sent += 1
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return sent


def steady(bootstrap: str, rate: int, seconds: float) -> None:
    """Send `rate` events a second, each with the time at which it was handed over."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 1, "acks": "all"})
    number = 10**9
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        while number - 10**9 < passed * rate:
            producer.produce(TOPIC, event(number, time.time()), partition=number % PARTITIONS)
            number += 1
        producer.poll(0)
        time.sleep(0.002)
    producer.flush()


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
    start, cpu = time.perf_counter(), time.process_time()
    summary = loader(project, topics, group=group).run(seconds is None, seconds)
    (totals,) = summary.topics
    return {
        "wall": time.perf_counter() - start,
        "cpu": time.process_time() - cpu,
        "read": totals.read,
        "landed": totals.landed,
        "dead_letters": totals.dead_letters,
        "duplicates": totals.duplicates,
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

    def loader(self, name: str, *more: str) -> subprocess.Popen[str]:
        return self.start("load", str(self.folder / name), f"bench-{name}", *more)

    def together(self, rows: int) -> float:
        """Seconds that two loaders need together, from their start until so many rows are there."""
        import duckdb

        start = time.perf_counter()
        pair = [self.loader("two", "3600") for _ in range(2)]
        pattern = str(self.folder / "two/landing" / TABLE / "**/*.parquet")
        query = f"select coalesce(sum(num_rows), 0) from parquet_file_metadata('{pattern}')"
        found = 0
        while found < rows:
            time.sleep(0.1)
            assert all(process.poll() is None for process in pair)
            try:
                found = duckdb.sql(query).fetchall()[0][0]
            except duckdb.IOException:
                pass  # there is none yet
        taken = time.perf_counter() - start
        for process in pair:
            process.kill()
            process.communicate()
        return taken


def made(bootstrap: str, name: str, partitions: int) -> None:
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": bootstrap})
    for topic in admin.create_topics([NewTopic(name, partitions, 1)]).values():
        topic.result(30)


def run(events: int, rate: int, seconds: float) -> dict[str, Any]:
    from waypoint.services.kafka import running_kafka

    with tempfile.TemporaryDirectory(prefix="waypoint-bench-") as name:
        folder = Path(name)
        with running_kafka(folder / "kafka") as kafka:
            bench = Bench(folder, kafka.bootstrap)
            made(kafka.bootstrap, TOPIC, PARTITIONS)
            made(kafka.bootstrap, f"{TOPIC}.dlq", 1)
            idle = bench.result(bench.loader("idle"))
            sent = produce(kafka.bootstrap, events)
            plain = bench.result(bench.start("bare", kafka.bootstrap, str(sent)))
            one = bench.result(bench.loader("one"))
            two = bench.together(one["landed"])
            live = latency(bench, rate, seconds) if rate else []
    assert one["read"] == sent, (one, sent)
    busy = one["wall"] - idle["wall"]
    result: dict[str, Any] = {
        "messages": sent,
        "bare_per_s": round(plain["events"] / plain["wall"]),
        "bare_cpu_us": round(plain["cpu"] / plain["events"] * 1e6, 2),
        "loader_per_s": round(sent / busy),
        "ratio_to_bare": round(sent / busy / (plain["events"] / plain["wall"]), 3),
        "cpu_us_per_event": round((one["cpu"] - idle["cpu"]) / sent * 1e6, 2),
        "cpu_us_per_event_with_start": round(one["cpu"] / sent * 1e6, 2),
        "start_s": round(idle["wall"], 2),
        "peak_mib": one["peak_mib"],
        "two_loaders_to_one": round(busy / (two - idle["wall"]), 2),
        "landed": one["landed"], "dead_letters": one["dead_letters"],
        "duplicates": one["duplicates"],
    }  # fmt: skip
    if live:
        live.sort()
        result |= {
            "latency_events": len(live),
            "latency_p50_ms": round(live[len(live) // 2]),
            "latency_p99_ms": round(live[int(len(live) * 0.99)]),
        }
    return result


def latency(bench: Bench, rate: int, seconds: float) -> list[float]:
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
    sender = bench.start("steady", bench.bootstrap, str(rate), str(seconds))
    found = watched(state, reader, before)
    bench.result(sender)
    bench.result(reader)
    return found


def watched(state: Path, reader: subprocess.Popen[str], before: set[Path]) -> list[float]:
    import duckdb

    folder = state / "landing" / TABLE
    seen = set(before)
    found: list[float] = []
    with duckdb.connect() as connection:
        while reader.poll() is None:
            new = [path for path in folder.rglob("*.parquet") if path not in seen]
            seen.update(new)
            if new:
                rows = connection.execute(
                    f"select cast(session_id as bigint) from read_parquet({list(map(str, new))})"
                ).fetchall()
                now = time.time_ns()
                found += [(now - at) / 1e6 for (at,) in rows]
            time.sleep(0.003)
    return found


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
        told = f"   (goal {goals[name]['goal']}: {'met' if goals[name]['met'] else 'missed'})"
        print(f"{name:32} {value}{told if name in goals else ''}")


def _met(value: float, sign: str, goal: float) -> bool:
    return value >= goal if sign == ">=" else value <= goal


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=10_000, help="events a second; 0: no latency")
    parser.add_argument("--seconds", type=float, default=15.0, help="for how long, at that rate")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    match options.part:
        case None:
            report(run(options.events, options.rate, options.seconds), options.json)
        case ["bare", bootstrap, messages]:
            print(json.dumps(bare(bootstrap, int(messages))))
        case ["load", state, group, *more]:
            print(json.dumps(load(state, group, float(more[0]) if more else None)))
        case ["steady", bootstrap, rate, seconds]:
            steady(bootstrap, int(rate), float(seconds))
            print("{}")


if __name__ == "__main__":
    main()
