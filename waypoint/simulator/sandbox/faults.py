"""What goes wrong with a sandbox's answers, on request."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from waypoint.errors import UnusableInput


@dataclass(frozen=True)
class Fault:
    """What a request gets instead of its answer, or what is done to the answer."""

    status: int | None = None
    retry_after: str | None = None  # the header that may come with 429 and 503
    stall: float = 0.0  # seconds of silence before
    silent: bool = False  # no answer at all
    garbage: bool = False  # 200, but nothing that can be read
    cut: bool = False  # the answer ends in the middle, and the connection with it
    partial: bool = False  # the answer ends in the middle as if it were whole


#: Says what is wrong with the n-th request (from 1) of a path, None: nothing.
Faults = Callable[[int, str], Fault | None]

#: The kinds that can be asked for by name.
KINDS = {
    "rate-limit": Fault(429, retry_after="1"),
    "error": Fault(503),
    "timeout": Fault(silent=True, stall=60.0),
    "garbage": Fault(garbage=True),
    "cut": Fault(cut=True),
    "partial": Fault(partial=True),
}


def no_faults(_number: int, _path: str) -> Fault | None:
    return None


def faults_of(wanted: Iterable[str], seed: int) -> Faults:
    """Faults as a person asks for them: `<kind>[:<share>][@<part of the address>]`.

    Each of them befalls that share of requests (all of them, unless given); the seed decides which.

    Raises:
        UnusableInput: one of them cannot be understood.
    """
    rules = [_rule(text) for text in wanted]

    def fault(number: int, path: str) -> Fault | None:
        chance = random.Random(f"{seed}/{number}/{path}").random()
        for found, share, part in rules:
            if part in path:
                if chance < share:
                    return found
                chance = (chance - share) / (1 - share) if share < 1 else chance
        return None

    return fault


def _rule(text: str) -> tuple[Fault, float, str]:
    what, _, part = text.partition("@")
    kind, _, share = what.partition(":")
    try:
        number = float(share or 1)
    except ValueError:
        number = -1.0
    if kind not in KINDS or not 0 <= number <= 1:
        raise UnusableInput(
            f"--fault {text!r} is none",
            hint=f"<kind>[:<share>][@<part of the address>], kinds: {', '.join(KINDS)}",
        )
    return KINDS[kind], number, part
