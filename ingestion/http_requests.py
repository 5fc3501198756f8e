"""Asking HTTP servers with patience: rate limits, errors, garbage and silence are waited out."""

from __future__ import annotations

import email.utils
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import httpx
import tenacity

from ingestion.redaction import redacted
from waypoint.errors import Unavailable, UnusableInput, WaypointError

#: Statuses that may be better in a moment.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})

#: What may be better in a moment, too: no answer, or one that stops or cannot be unpacked.
_BROKEN = (httpx.TransportError, httpx.DecodingError)

# it would log every URL, and keys may be parameters
logging.getLogger("httpx").setLevel(logging.WARNING)

Read = TypeVar("Read")


class SourceRefused(UnusableInput):
    """The server answers that it will not: a wrong key, path or parameter."""


class UnusableAnswer(WaypointError):
    """The server's answer is no page of the expected shape; `body` is what it sent, where known."""

    def __init__(self, message: str, hint: str = "", body: str | None = None) -> None:
        super().__init__(message, hint)
        self.body = body


class Unreadable(ValueError):
    """What a reader of an answer says of one that it can make nothing of."""


@dataclass(frozen=True)
class Patience:
    """How often and how long a request is tried again.

    Waits grow from `first_wait` by doubling, up to `longest_wait`, each by a random share less,
    so that clients do not come back together. A server's `Retry-After` is honoured up to
    `longest_wait`; what asks for more is given up.
    """

    attempts: int = 6
    first_wait: float = 0.5  # seconds
    longest_wait: float = 60.0  # seconds
    timeout: float = 30.0  # seconds without a byte
    longest_answer: float = 300.0  # seconds from the question to the last byte
    largest_answer: int = 100_000_000  # bytes


@dataclass(frozen=True)
class Reply:
    """A server's answer, read to its end."""

    url: str
    status: int
    reason: str
    headers: httpx.Headers
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode("utf-8-sig", errors="replace")


class HttpServer:
    """A server, and the key to it. Use it as a context manager.

    `secrets` are never shown in what is said of requests; `follow` says whether a server may send
    the client elsewhere, which it must not where keys go with a request; once `stopping` is set,
    requests of other threads end without waiting for another try.
    """

    def __init__(
        self,
        source: str,
        base_url: str,
        token: str | None,
        headers: Mapping[str, str],
        patience: Patience,
        *,
        secrets: tuple[str, ...] = (),
        follow: bool = False,
        accept: str = "application/json",
        stopping: threading.Event | None = None,
    ) -> None:
        self._source = source
        self._patience = patience
        self._stopping = stopping
        token = (token or "").strip()
        self._secrets = (token, *secrets)
        if not (token.isascii() and token.isprintable()):
            # what the HTTP library says of it would quote it
            raise UnusableInput(f"{source}: its token holds characters that no key has")
        given = {"Accept": accept, "User-Agent": "waypoint", **headers}
        if token:
            given["Authorization"] = f"Bearer {token}"
        try:
            self._client = httpx.Client(
                base_url=base_url, headers=given, timeout=patience.timeout, follow_redirects=follow
            )
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise UnusableInput(
                f"{source}: its base_url, token or headers cannot be used: {self.shown(error)}"
            ) from None

    def __enter__(self) -> HttpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(
        self,
        path: str,
        query: Mapping[str, Any] | None,
        reading: Callable[[Reply], Read],
        *,
        garbage_passes: bool = False,
    ) -> Read:
        """What `reading` makes of the answer of `path`.

        Args:
            path: below the base URL, or a whole URL.
            query: the parameters; None where the path holds them.
            reading: gives what it made of an answer, or raises `Unreadable`.
            garbage_passes: whether an unreadable answer may be better in a moment.

        Raises:
            SourceRefused: a status that will not be better next time.
            Unavailable: no answer, or none but errors, as often as was tried.
            UnusableAnswer: `reading` could make nothing of it.
        """
        patience = self._patience
        passing: tuple[type[BaseException], ...] = (*_BROKEN, _Passing)
        enough = tenacity.stop_after_attempt(patience.attempts)
        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(
                (*passing, _Garbage) if garbage_passes else passing
            ),
            stop=enough,
            wait=_Waits(patience),
            reraise=True,
        )
        if self._stopping is not None:
            trying = trying.copy(
                stop=tenacity.stop_any(enough, tenacity.stop_when_event_set(self._stopping)),
                sleep=tenacity.sleep_using_event(self._stopping),
            )
        try:
            found: Read = trying(self._try, path, query, reading)
            return found
        except _Garbage as garbage:
            raise UnusableAnswer(
                f"{self._source}: the answer of {self.shown(path)} {garbage.problem}:"
                f" {self.shown(garbage.reply.text[:200])}",
                hint="see that base_url and the resource's `items` are right",
                body=self.shown(garbage.reply.text),
            ) from None
        except _Passing as error:
            raise Unavailable(
                f"{self._source}: {self.shown(path)} answered {error.status} to"
                f" {_times(trying)}: {self.shown(error.said)}",
                hint="run the same command again later: what has landed is not landed twice",
            ) from None
        except _BROKEN as error:
            what = (
                "did not answer in time"
                if isinstance(error, httpx.TimeoutException)
                else ("cannot be reached")
            )
            host = self._client.base_url.host or httpx.URL(path).host
            raise Unavailable(
                f"{self._source}: {host} {what} ({_times(trying)}):"
                f" {self.shown(error) or type(error).__name__}",
                hint="see that base_url is right and the network is there, then run it again",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceRefused(
                f"{self._source}: {self.shown(path)}: {self.shown(error)}"
            ) from None

    def shown(self, what: object) -> str:
        """`what` as people may see it: without the secrets."""
        return redacted(str(what), self._secrets)

    def _try(
        self,
        path: str,
        query: Mapping[str, Any] | None,
        reading: Callable[[Reply], Read],
    ) -> Read:
        reply = self._reply(path, query)
        status = reply.status
        if status in _PASSING:
            passing = _Passing(reply, self._said(reply))
            if (
                passing.retry_after is not None
                and passing.retry_after > self._patience.longest_wait
            ):
                raise Unavailable(
                    f"{self._source}: {self.shown(path)} answered {status} and asks to come back"
                    f" in {passing.retry_after:.0f} s: {self._said(reply)}",
                    hint="run the same command again then",
                )
            raise passing
        if 200 <= status < 300:
            try:
                return reading(reply)
            except Unreadable as error:
                raise _Garbage(reply, str(error)) from None
        hints = {
            401: "see that the key is right and not revoked",
            403: "see that the key is allowed to read this",
            404: "see that base_url and the resource's path are right",
        }
        raise SourceRefused(
            f"{self._source}: {self.shown(path)} answered {status}: {self._said(reply)}",
            hint=hints.get(status, "see the resource's parameters in sources.yml"),
        )

    def _reply(self, path: str, query: Mapping[str, Any] | None) -> Reply:
        """Ask once; bounded in time and size, whatever the server sends."""
        patience = self._patience
        deadline = time.monotonic() + patience.longest_answer
        content = bytearray()
        with self._client.stream("GET", path, params=query or None) as response:
            for piece in response.iter_bytes():
                content += piece
                if time.monotonic() > deadline:
                    raise httpx.ReadTimeout(f"still sending after {patience.longest_answer:g} s")
                if len(content) > patience.largest_answer:
                    raise UnusableAnswer(
                        f"{self._source}: the answer of {self.shown(path)} is larger than"
                        f" {patience.largest_answer:,} bytes",
                        hint="ask for less at a time",
                    )
        return Reply(
            url=str(response.url),
            status=response.status_code,
            reason=response.reason_phrase,
            headers=response.headers,
            content=bytes(content),
        )

    def _said(self, reply: Reply) -> str:
        """What an error answer says for people."""
        text = reply.text[:2000]
        try:
            error = httpx.Response(reply.status, content=reply.content).json()["error"]
            text = error["message"] if isinstance(error, dict) else str(error)
        except (ValueError, KeyError, TypeError, RecursionError):
            text = " ".join(text.split())[:200] or reply.reason
        return self.shown(text)


class _Garbage(Exception):
    """An answer that its reader can make nothing of."""

    def __init__(self, reply: Reply, problem: str) -> None:
        super().__init__(problem)
        self.reply = reply
        self.problem = problem


class _Passing(Exception):
    """An error status that may be better in a moment."""

    def __init__(self, reply: Reply, said: str) -> None:
        super().__init__(said)
        self.status = reply.status
        self.said = said
        self.retry_after = _retry_after(reply.headers.get("Retry-After"))


class _Waits(tenacity.wait.wait_base):
    """What the server asks for, or exponential with jitter."""

    def __init__(self, patience: Patience) -> None:
        self._longest = patience.longest_wait
        self._jitter = tenacity.wait_random_exponential(
            multiplier=patience.first_wait, max=patience.longest_wait
        )

    def __call__(self, retry_state: tenacity.RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        jitter = self._jitter(retry_state)
        if isinstance(error, _Passing) and error.retry_after is not None:
            # a little later than asked for: others were asked for the same
            return error.retry_after + min(jitter, 1.0)
        return jitter


def _retry_after(value: str | None) -> float | None:
    """Seconds, from either form of the header."""
    if value is None:
        return None
    try:
        seconds = float(value)
        return max(seconds, 0.0) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _times(trying: tenacity.Retrying) -> str:
    attempts = trying.statistics.get("attempt_number", 1)
    return f"{attempts} requests" if attempts != 1 else "1 request"
