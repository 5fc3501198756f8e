"""Reaching the brokers, and saying why it fails: those that are away, and those that refuse."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ingestion.stream.connection import SETTINGS_VARIABLE
from waypoint.errors import Unavailable, UnusableInput

if TYPE_CHECKING:
    from confluent_kafka import KafkaError
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.admin._metadata import ClusterMetadata

#: A client whose connection is refused tries again, and its calls only run out of time: so they
#: are short, and what it was told is looked at in between.
_CALL_SECONDS = 3.0


class Refusals:
    """A client's `error_cb`: why brokers refuse it. A client that is refused only waits."""

    def __init__(self) -> None:
        #: What was said last of a refusal, and of any trouble; empty where nothing was.
        self.reason = self.trouble = ""

    def __call__(self, error: KafkaError) -> bool:
        """Told by the client of what goes wrong; whether it is a refusal that was not told yet."""
        from confluent_kafka import KafkaError

        before = self.reason
        # how long it took and how often it was said differs each time
        words = str(error.str()).partition(" (after ")[0]
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # which says nothing of why
            self.trouble = words
        # a broker that does not like a certificate says so in an alert, and hangs up
        if "SSL alert" in words or error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
            self.reason = words
        return self.reason != before


def reach(settings: Mapping[str, str], seconds: float) -> tuple[AdminClient, ClusterMetadata]:
    """A client that has reached the brokers, and what they say is there.

    Raises:
        Unavailable: they did not answer within so many seconds.
        UnusableInput: they refuse the client, its password or its certificate; or it refuses them.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    refusals = Refusals()
    quiet: dict[str, Any] = {"log_level": 0, "error_cb": refusals}
    client = AdminClient({**settings, **quiet})
    end = time.monotonic() + seconds
    while True:
        try:
            return client, client.list_topics(timeout=_CALL_SECONDS)
        except KafkaException as error:
            client.poll(0)  # it tells of its connections only when it is asked
            if refusals.reason:
                raise UnusableInput(
                    f"the broker cannot be used: {refusals.reason}",
                    hint="user, password and certificates stand in the file that"
                    f" {SETTINGS_VARIABLE} names",
                ) from None
            if time.monotonic() > end:
                raise Unavailable(
                    f"the broker does not answer: {refusals.trouble or error.args[0].str()}",
                    hint="waypoint services status, or look at WAYPOINT_KAFKA",
                ) from None
