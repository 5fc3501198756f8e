"""Two steps, one after the other, each in a thread of its own: checking and writing.

What was consumed waits in between, up to so many bytes; then the consumer waits. The slower the
steps are, the larger are the batches that they take, which makes them cheaper.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ingestion.stream.consuming import Consumed

#: Bytes that wait to be checked, and bytes and messages of one batch, at most.
_WAITING = 8 << 20
_BATCH = 8 << 20
_MESSAGES = 20_000

Prepared = TypeVar("Prepared")


class Pipeline(Generic[Prepared]):
    """Hands on what is put in, in order within each topic; one batch is of one topic."""

    def __init__(
        self,
        check: Callable[[list[Consumed]], Prepared],
        write: Callable[[Prepared], None],
    ) -> None:
        self._check, self._write = check, write
        self._changed = threading.Condition()
        self._waiting: dict[str, list[Consumed]] = {}
        self._size = 0
        self._checking = False
        self._ready: list[Prepared] = []
        self._writing = False
        self._closed = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(step,), name=name, daemon=True)
            for name, step in (("check", self._check_all), ("write", self._write_all))
        ]
        for thread in self._threads:
            thread.start()

    def is_full(self) -> bool:
        """Whether the consumer is to wait."""
        return self._size >= _WAITING

    def put(self, consumed: Consumed) -> None:
        """Put in what was consumed.

        Raises:
            whatever one of the steps has raised.
        """
        with self._changed:
            self._raise()
            self._waiting.setdefault(consumed.topic, []).append(consumed)
            self._size += consumed.size
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Wait until something changes, for at most so long."""
        with self._changed:
            self._raise()
            self._changed.wait(seconds)

    def drain(self) -> None:
        """Wait until all that was put in is written, or until nothing more will be.

        Raises:
            whatever one of the steps has raised.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._error is not None or self._idle())
            self._raise()

    def wait_written(self) -> None:
        """Within the check: wait until all is written that was checked before."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or self._error is not None or not self._to_write()
            )

    def close(self) -> None:
        """End the threads; what is not written by then never is."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _idle(self) -> bool:
        return not self._waiting and not self._checking and not self._to_write()

    def _to_write(self) -> bool:
        return bool(self._ready) or self._writing

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _check_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._waiting))
                if self._closed:
                    return
                taken = self._take()
                self._checking = True
                self._changed.notify_all()
            prepared = self._check(taken)
            with self._changed:
                # one batch waits while another one is written
                self._changed.wait_for(
                    lambda: self._closed or self._error is not None or not self._ready
                )
                self._ready.append(prepared)
                self._checking = False
                self._changed.notify_all()

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self._ready))
                if self._closed:
                    return
                prepared = self._ready.pop()
                self._writing = True
                self._changed.notify_all()
            self._write(prepared)
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    def _take(self) -> list[Consumed]:
        """What waits of the topic that has waited longest, up to a batch."""
        topic = min(self._waiting, key=lambda name: self._waiting[name][0].since)
        waiting = self._waiting[topic]
        taken: list[Consumed] = []
        size = messages = 0
        while waiting and (not taken or (size < _BATCH and messages < _MESSAGES)):
            taken.append(waiting.pop(0))
            size += taken[-1].size
            messages += taken[-1].messages.num_rows
        if not waiting:
            del self._waiting[topic]
        self._size -= size
        return taken
