"""Processes that end with the one that started them, however that one ends.

`python ending_with_parent.py <pid> java ...` is `java ...`, except that the kernel kills it when
the process <pid>, its parent, has ended (Linux). A program of its own does that and not a function
between fork and exec (`preexec_fn`): there a process that has threads may wait for ever for a lock
that one of them held. The standard library is all it needs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def ending_with_parent(command: Sequence[str]) -> list[str]:
    """A command line that runs `command`, killed when the thread that starts it has ended.

    Elsewhere than on Linux it is the command itself, which may stay.
    """
    if sys.platform != "linux":
        return list(command)
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid()), *command]


def end_with_parent(parent: int) -> None:
    """Have this process killed when its parent, process `parent`, ends."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it ended before it could be watched
        sys.exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_with_parent(int(sys.argv[1]))
    # Python ignores these, and what is ignored stays so in the program
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    os.execvp(sys.argv[2], sys.argv[2:])
