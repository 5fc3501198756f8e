"""What the gateway says back: JSON, with a field and a reason for each thing that is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from fastapi import Response

ACCEPTED = 202
MIXED = 207

#: Said with 503: how many seconds to wait before the same is sent again.
RETRY_SECONDS = 2


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: with which field (empty: with the whole), and what."""

    field: str
    reason: str

    def document(self) -> dict[str, str]:
        return {"field": self.field, "reason": self.reason}


class Delivered(msgspec.Struct, frozen=True):
    """Where the brokers keep an event."""

    partition: int
    offset: int
    status: int = ACCEPTED


@dataclass(eq=False)
class Refused(Exception):
    """Why something was not taken, with the status that says so."""

    status: int
    problems: tuple[Problem, ...]
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def because(cls, status: int, reason: str, of: str = "", **headers: str) -> Refused:
        """One reason; headers are given with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, (Problem(of, reason),), named)

    @classmethod
    def unavailable(cls, reason: str) -> Refused:
        """Nothing is wrong with it, and it may be sent again later."""
        return cls.because(503, reason, Retry_After=str(RETRY_SECONDS))

    @classmethod
    def too_much(cls, seconds: float) -> Refused:
        """The client's rate is used up for so many seconds."""
        wait = max(1, math.ceil(seconds))
        reason = f"more events than this client may send; try again in {wait} s"
        return cls.because(429, reason, Retry_After=str(wait))

    def answer(self) -> Response:
        return said(self.status, {"status": self.status, "errors": self.errors()}, self.headers)

    def errors(self) -> list[dict[str, str]]:
        return [problem.document() for problem in self.problems]


def said(status: int, document: object, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(
        msgspec.json.encode(document), status, dict(headers or {}), media_type="application/json"
    )


def one(result: Delivered | Refused, topic: str) -> Response:
    """The answer to a single event."""
    if isinstance(result, Refused):
        return result.answer()
    document = {"topic": topic, "partition": result.partition, "offset": result.offset}
    return said(ACCEPTED, {"status": ACCEPTED, **document})


def many(results: Sequence[Delivered | Refused], topic: str) -> Response:
    """The answer to a batch, one result for each event in its order.

    202 where all were taken; 207 where some were; where none was, the status that all have in
    common, else 422.
    """
    refused = [result for result in results if isinstance(result, Refused)]
    status, headers = ACCEPTED, {}
    if refused:
        statuses = {result.status for result in refused}
        status = statuses.pop() if len(statuses) == 1 else 422
        if len(refused) < len(results):
            status = MIXED
    if status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    document = {
        "status": status,
        "topic": topic,
        "accepted": len(results) - len(refused),
        "refused": len(refused),
        "results": [_line(result) for result in results] if refused else results,
    }
    return said(status, document, headers)


def _line(result: Delivered | Refused) -> object:
    if isinstance(result, Refused):
        return {"status": result.status, "errors": result.errors()}
    return result
