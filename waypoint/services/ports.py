"""Ports on loopback that nobody uses, asked of the operating system."""

from __future__ import annotations

import socket
from contextlib import ExitStack

LOOPBACK = "127.0.0.1"


def free_ports(count: int) -> list[int]:
    """Different ports that were free a moment ago: who starts a server there must be ready for it
    to find one taken, and ask again."""
    with ExitStack() as stack:
        found = []
        for _ in range(count):
            place = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            place.bind((LOOPBACK, 0))
            found.append(int(place.getsockname()[1]))
        return found


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
