"""What Airflow costs: reading the DAGs, an hourly run against a bare `dbt build`, and memory.

    .venv/bin/python bench/orchestration.py --state /data/built   a state that was built before

Linux only: CPU and memory are read from /proc, for all processes of Airflow together. The state is
copied; its copy is built once by dbt and twice through the scheduler, without new rows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from urllib.request import Request, urlopen

from waypoint.orchestration.parts import DAILY_SCHEMAS
from waypoint.project import Project
from waypoint.quality.running import CRITICAL

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
TICKS = os.sysconf("SC_CLK_TCK")
PARSE = """
import time, waypoint.orchestration.preloaded as _
from waypoint.orchestration import dags, external_dags
start = time.process_time(), time.monotonic()
found = {{**dags.ingestion_dags({here!r}), **external_dags.external_dags({here!r})}}
counts = [len(d.tasks) for d in found.values()]
for one in (dags.hourly_dag, dags.daily_dag, dags.publish_dag, dags.maintenance_dag):
    counts.append(len(one({here!r}).tasks))
print(time.process_time() - start[0], time.monotonic() - start[1], len(counts), sum(counts))
"""


def processes(session: int) -> dict[str, tuple[float, float]]:
    """CPU seconds (ended children included) and MB (proportional) by part of Airflow."""
    parts: dict[str, tuple[float, float]] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) != session:
                continue
            cpu = sum(int(field) for field in fields[11:15]) / TICKS
            command = (folder / "cmdline").read_text().replace("\0", " ")
            rollup = (folder / "smaps_rollup").read_text()
        except OSError:
            continue
        memory = next(int(x.split()[1]) / 1024 for x in rollup.splitlines() if "Pss:" in x)
        known = ("standalone", "scheduler", "dag-processor", "api_server", "triggerer")
        part = next((name for name in known if name in command), "tasks")
        before = parts.get(part, (0.0, 0.0))
        parts[part] = (before[0] + cpu, before[1] + memory)
    return parts


def cpu_of(parts: dict[str, tuple[float, float]]) -> float:
    return sum(cpu for cpu, _ in parts.values())


def memory_of(parts: dict[str, tuple[float, float]]) -> float:
    return sum(memory for _, memory in parts.values())


def children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bare_build(environment: dict[str, str], target: Path) -> tuple[float, float]:
    """CPU and wall seconds of `dbt build` of the hourly DAG's tables, the project read before."""
    command = [BIN / "dbt", "--quiet", "build", "--exclude", "path:models/ml_features"]
    command += ["--exclude-resource-type", "unit_test", "--target-path", target]
    command += ["--log-path", target]
    taken = (0.0, 0.0)
    for _ in range(2):
        start = children(), time.monotonic()
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        taken = children() - start[0], time.monotonic() - start[1]
    return taken


def suites(environment: dict[str, str]) -> float:
    """CPU seconds of the quality suites that the hourly DAG runs beside the build."""
    command = [sys.executable, "-m", "waypoint.cli.app", "-q", "quality", "run", "--built"]
    for contract in Project.find(ROOT).contracts.tables:
        if CRITICAL in contract.tags and contract.full_name.partition(".")[0] not in DAILY_SCHEMAS:
            command += ["--select", contract.full_name]
    taken = 0.0
    for _ in range(2):  # the second time, as with the build
        start = children()
        ended = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
        if ended.returncode not in (0, 1):  # 1: a table did not keep its promise
            raise SystemExit(f"waypoint quality run ended with {ended.returncode}")
        taken = children() - start
    return taken


class Airflow:
    """The local Airflow of a state."""

    def __init__(self, environment: dict[str, str], state: Path) -> None:
        self.environment, self.home = environment, state / "airflow"

    def command(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "waypoint.cli.app", "airflow", *arguments]
        subprocess.run(command, cwd=ROOT, env=self.environment, check=True)

    def __enter__(self) -> Airflow:
        self.command("up")
        running = json.loads((self.home / "running.json").read_text())
        self.session, self.url = running["pid"], f"http://127.0.0.1:{running['port']}"
        password = json.loads((self.home / "passwords.json").read_text())["admin"]
        given = self.call("POST", "/auth/token", {"username": "admin", "password": password})
        self.token = given["access_token"]
        return self

    def __exit__(self, *_: object) -> None:
        self.command("down")

    token = ""

    def call(self, method: str, path: str, body: dict) -> dict:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"}
        request = Request(self.url + path, json.dumps(body).encode(), headers, method=method)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def ask(self, query: str) -> list:
        with closing(sqlite3.connect(f"file:{self.home}/airflow.db?mode=ro", uri=True)) as opened:
            return opened.execute(query).fetchall()

    def runs(self) -> list:
        return self.ask(
            "select run_id, state from dag_run where dag_id = 'hourly' order by id desc"
        )

    def run_hourly(self) -> dict:
        """One run: its CPU by part, wall seconds and the highest memory."""
        before, start = processes(self.session), time.monotonic()
        count = len(self.runs())
        if count == 0:  # unpaused, the scheduler begins the run of the last quarter past
            self.call("PATCH", "/api/v2/dags/hourly", {"is_paused": False})
        else:
            self.call("POST", "/api/v2/dags/hourly/dagRuns", {"logical_date": None})
        highest, state = 0.0, ""
        while state not in ("success", "failed"):
            time.sleep(1)
            highest = max(highest, memory_of(processes(self.session)))
            state = self.runs()[0][1] if len(self.runs()) > count else ""
        after = processes(self.session)
        parts = {
            name: round(after[name][0] - before.get(name, (0.0, 0.0))[0], 1)
            for name in after
            if name != "standalone"
        }
        tasks = self.ask("select count(*) from task_instance where dag_id = 'hourly'")[0][0]
        return {
            "state": state,
            "cpu_seconds": round(cpu_of(after) - cpu_of(before), 1),
            "cpu_by_part": parts,
            "wall_seconds": round(time.monotonic() - start, 1),
            "highest_mb": round(highest),
            "tasks": tasks // (count + 1),
        }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--state", type=Path, required=True, help="a state that was built")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="waypoint-bench-") as folder:
        state = Path(folder) / "var"
        (state / "warehouse").mkdir(parents=True)
        for name in ("clock.json", "warehouse/waypoint.duckdb", "simulator/played.json"):
            if (given.state / name).exists():
                (state / name).parent.mkdir(exist_ok=True)
                shutil.copy(given.state / name, state / name)
        environment = dict(os.environ, WAYPOINT_STATE=str(state), PYTHONPATH=str(ROOT))
        environment["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
        target = Path(folder) / "target"
        cpu, wall = bare_build(environment, target)
        found: dict = {"bare_build": {"cpu_seconds": round(cpu, 1), "wall_seconds": round(wall, 1)}}
        checks = suites(environment)
        found["suites"] = {"cpu_seconds": round(checks, 1)}
        with Airflow(environment, state) as airflow:
            code = PARSE.format(here=str(ROOT / "dags" / "bench.py"))
            said = subprocess.run(
                [sys.executable, "-c", code],
                cwd=ROOT,
                env=dict(environment, AIRFLOW_HOME=str(airflow.home)),
                check=True,
                capture_output=True,
                text=True,
            ).stdout.split()[-4:]
            found["parse"] = dict(
                zip(("cpu_seconds", "wall_seconds", "dags", "tasks"), map(float, said), strict=True)
            )
            time.sleep(10)
            idle = processes(airflow.session)
            time.sleep(20)
            later = processes(airflow.session)
            found["idle"] = {
                "cpu_per_second": round((cpu_of(later) - cpu_of(idle)) / 20, 3),
                "mb": {name: round(memory) for name, (_, memory) in sorted(later.items())},
            }
            airflow.run_hourly()  # the first run imports what later ones have
            found["hourly"] = airflow.run_hourly()
        hourly = found["hourly"]["cpu_seconds"]
        found["times_bare_cpu"] = round(hourly / cpu, 2)
        found["times_bare_cpu_without_suites"] = round((hourly - checks) / cpu, 2)
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
