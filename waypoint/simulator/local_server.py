"""A server on 127.0.0.1 for as long as a block runs, in a thread of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def listening(
    handler: type[BaseHTTPRequestHandler], port: int, closing_down: threading.Event
) -> Iterator[str]:
    """Serve with `handler` and give the address; port 0 picks a free one.

    `closing_down` is set at the end, for handlers that wait.

    Raises:
        OSError: the port is taken.
    """
    server = _Server(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        closing_down.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # idle keep-alive connections of clients do not hold it up

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, having waited long enough, is no error here."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)
