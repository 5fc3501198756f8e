"""What a person sees when a command fails: one message, a hint, and never a traceback."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from waypoint.errors import WaypointError

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSPHRASE|DSN|CREDENTIAL)", re.I)
_URL_PASSWORD = re.compile(r"(://[^/\s:@]+:)[^@\s]+@")
_DSN_PASSWORD = re.compile(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", re.I)
_SHORTEST_SECRET = 6  # shorter values would blank out ordinary words


def show(error: WaypointError) -> None:
    """The message and the hint on stderr."""
    print(f"waypoint: {without_secrets(str(error))}", file=sys.stderr)
    if error.hint:
        print(f"  hint: {without_secrets(error.hint)}", file=sys.stderr)


def show_unexpected(error: BaseException, logs: Path) -> None:
    """One line that names the error and the file below `logs` that holds the traceback."""
    what = without_secrets(" ".join(str(error).split())) or "no message"
    print(f"waypoint: unexpected {type(error).__name__}: {_short(what)}", file=sys.stderr)
    try:
        path = write_traceback(error, logs)
    except OSError as failure:
        print(
            f"  its traceback could not be written to {logs}: {failure}",
            file=sys.stderr,
        )
    else:
        print(f"  this is a bug in Waypoint; its traceback is in {path}", file=sys.stderr)


def write_traceback(error: BaseException, logs: Path) -> Path:
    """Write the full traceback below `logs`, without secrets; returns the file."""
    logs.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    path = logs / f"error-{moment}-{os.getpid()}.log"
    text = "".join(traceback.format_exception(error))
    path.write_text(without_secrets(text), encoding="utf-8")
    return path


def without_secrets(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` with passwords in URLs and DSNs and the values of secret variables blanked out."""
    values = os.environ if environment is None else environment
    for name, value in values.items():
        if _SECRET_NAME.search(name) and len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, f"<{name}>")
    return _DSN_PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1***@", text))


def _short(text: str, limit: int = 300) -> str:
    return text if len(text) <= limit else f"{text[:limit]}..."
