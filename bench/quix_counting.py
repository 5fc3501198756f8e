"""What `bench/stream_loader.py --quix` compares with: quixstreams reads the same topic.

It parses each value, checks the fields that the contract requires, and drops what its state has
seen; what is left it counts and keeps nothing of. So it does less than the loader, which lands.
Run by a Python of its own, in which quixstreams is installed.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
import uuid
from typing import Any

REQUIRED = ("event_id", "event_type", "user_id", "app_type", "timestamp")


def main(bootstrap: str, topic: str, messages: int) -> None:
    from quixstreams import Application

    logging.disable(logging.WARNING)
    seen = kept = 0
    start = cpu = 0.0

    def sound(value: bytes) -> Any:
        nonlocal seen, start, cpu
        if not seen:
            start, cpu = time.perf_counter(), time.process_time()
        seen += 1
        try:
            event = json.loads(value)
            uuid.UUID(event["event_id"])
        except ValueError:
            return None
        return event if all(event.get(name) is not None for name in REQUIRED) else None

    def is_new(event: Any, state: Any) -> bool:
        if state.exists(event["event_id"]):
            return False
        state.set(event["event_id"], 1)
        return True

    def keep(_event: Any) -> None:
        nonlocal kept
        kept += 1

    with tempfile.TemporaryDirectory(prefix="waypoint-quix-") as folder:
        application = Application(
            broker_address=bootstrap,
            consumer_group=f"quix-{time.time_ns()}",
            auto_offset_reset="earliest",
            state_dir=folder,
            loglevel=None,
        )
        read = application.topic(topic, value_deserializer="bytes")
        frame = application.dataframe(read).apply(sound).filter(lambda event: event is not None)
        frame = frame.filter(is_new, stateful=True)
        frame.update(keep)
        application.run(count=messages)
        wall, used = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": used, "events": seen, "kept": kept}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
