"""What the gateway's operator may set, through environment variables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from waypoint.errors import UnusableInput

PREFIX = "WAYPOINT_GATEWAY_"


@dataclass(frozen=True)
class Settings:
    """Limits of the gateway; the names in capitals after `PREFIX` are the variables' names.

    Attributes:
        rate: events a second that one client may send, on average.
        burst: events that it may send at once after a pause.
        max_body: bytes of a request.
        max_event: bytes of one event; at most what a broker takes (its `message.max.bytes`).
        max_events: events of a batch.
        delivery_seconds: how long a request waits for the brokers before it is answered with 503.
        keys_file: hashes of the clients' keys, see `ingestion.gateway.keys`.
    """

    rate: float = 5_000.0
    burst: int = 10_000
    max_body: int = 5_000_000
    max_event: int = 900_000
    max_events: int = 1_000
    delivery_seconds: float = 10.0
    keys_file: Path | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """The settings that `environment` tells.

        Raises:
            UnusableInput: a number is none or not above 0, or no batch fits into a burst.
        """
        default = cls()
        file = environment.get(f"{PREFIX}KEYS_FILE")
        settings = cls(
            rate=_number(environment, "RATE", default.rate),
            burst=int(_number(environment, "BURST", default.burst)),
            max_body=int(_number(environment, "MAX_BODY", default.max_body)),
            max_event=int(_number(environment, "MAX_EVENT", default.max_event)),
            max_events=int(_number(environment, "MAX_EVENTS", default.max_events)),
            delivery_seconds=_number(environment, "DELIVERY_SECONDS", default.delivery_seconds),
            keys_file=Path(file) if file else None,
        )
        if settings.burst < settings.max_events:
            raise UnusableInput(
                f"a batch of {PREFIX}MAX_EVENTS={settings.max_events} events would never be taken:"
                f" {PREFIX}BURST={settings.burst} is less"
            )
        return settings


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(f"{PREFIX}{name}", "").strip()
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < 1e12:
        raise UnusableInput(f"{PREFIX}{name}={text}: is no number above 0")
    return number
