"""Events of 405 bytes for the benches of the stream: all at once, or at a steady rate."""

from __future__ import annotations

import random
import time

TOPIC, PARTITIONS = "topic_app_events", 6
SIZE = 405
_APPS = ("mobile", "web", "booking", "api")


def event(number: int, moment: float) -> bytes:
    """An event of 405 bytes, put together by hand: who sends is to take little from who reads."""
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    code = f"{number + (4 << 76) + (8 << 60):032x}"
    head = (
        f'{{"event_id": "{code[:8]}-{code[8:12]}-{code[12:16]}-{code[16:20]}-{code[20:]}"'
        f', "event_type": "page_view", "user_id": {number % 100_000}'
        f', "session_id": "{time.time_ns()}", "app_type": "{_APPS[number % 4]}"'
        f', "timestamp": "{at}.{int(moment * 1000) % 1000:03d}Z"'
        ', "properties": {"page": "/hotels/lisbon", "destination": "Lisbon"'
        f', "price": {number % 1000}.5, "processing_ms": {number % 250}, "country": "PT"'
        ', "note": "'
    )
    return f'{head:x<{SIZE - 3}}"}}}}'.encode()


def produce(bootstrap: str, events: int) -> int:
    """Fill the topic; how many messages that made."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": bootstrap, "linger.ms": 20, "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000, "batch.size": 500_000,
        }
    )  # fmt: skip
    chance = random.Random(1)
    sent = 0
    start = time.time() - events / 10_000
    for number in range(events):
        value = event(number, start + number / 10_000)
        partition = number % PARTITIONS
        copies = 2 if chance.random() < 0.01 else 1
        if chance.random() < 0.002:
            value = value[:-20]
        for _ in range(copies):
            while True:
                try:
                    producer.produce(TOPIC, value, str(number % 100_000), partition=partition)
                    break
                except BufferError:
                    producer.poll(0.1)
            sent += 1
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()
    return sent


def steady(bootstrap: str, rate: int, seconds: float) -> None:
    """Send `rate` events a second, each with the time at which it was handed over."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    number = 10**9
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        while number - 10**9 < passed * rate:
            producer.produce(TOPIC, event(number, time.time()), partition=number % PARTITIONS)
            number += 1
        producer.poll(0)
        time.sleep(0.002)
    producer.flush()
