"""How much a client may send: a bucket of tokens for each, one token an event."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

#: So many clients are remembered; of more, those that were quiet longest are forgotten, which only
#: fills their buckets.
MOST_CLIENTS = 10_000


class Rates:
    """Token buckets, filled with `rate` tokens a second up to `burst`. Not for several threads."""

    def __init__(
        self,
        rate: float,
        burst: float,
        clock: Callable[[], float] = monotonic,
        most_clients: int = MOST_CLIENTS,
    ) -> None:
        self._rate, self._burst = rate, burst
        self._clock = clock
        self._most = most_clients
        # client -> tokens, and when there were as many
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, tokens: int) -> float:
        """Take `tokens` from the client's bucket, or none of them where there are too few.

        Returns:
            0 where they were taken, else the seconds after which they will be there.
        """
        now = self._clock()
        held, since = self._buckets.get(client, (self._burst, now))
        held = min(self._burst, held + (now - since) * self._rate)
        missing = tokens - held
        self._buckets[client] = (held if missing > 0 else held - tokens, now)
        self._buckets.move_to_end(client)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return missing / self._rate if missing > 0 else 0.0
