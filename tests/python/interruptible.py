"""Commands that Ctrl-C can end, whoever runs the tests."""

from __future__ import annotations

import sys
from collections.abc import Sequence

#: A shell's background jobs inherit that SIGINT is ignored. It is set in a program of its own:
#: tests have threads, and between fork and exec (`preexec_fn`) a lock of theirs may never be free.
_RESET = (
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


def interruptible(command: Sequence[str]) -> list[str]:
    """A command line that runs `command`, a program by its path, with SIGINT as it usually is."""
    return [sys.executable, "-I", "-S", "-c", _RESET, *command]
