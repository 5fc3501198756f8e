"""dbt as a process that ends with the one that started it.

`python -m waypoint.dbt_process <pid> build ...` is `dbt build ...`, except that it goes when the
process <pid>, its parent, is killed, instead of holding the warehouse against the next run.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


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
    end_with_parent(int(sys.argv.pop(1)))
    from dbt.cli.main import cli

    cli()
