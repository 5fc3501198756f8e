"""Reading lists over HTTP page by page: rate limits, errors and silence are waited out."""

from __future__ import annotations

import email.utils
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import tenacity

from ingestion.json_items import Page, read_page
from ingestion.redaction import redacted
from waypoint.errors import Unavailable, UnusableInput, WaypointError

#: Statuses that may be better in a moment.
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class SourceRefused(UnusableInput):
    """The server answers that it will not: a wrong key, path or parameter."""


class UnusableAnswer(WaypointError):
    """The server's answer is no page of the expected shape."""


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


@dataclass(frozen=True)
class Pagination:
    """How one page leads to the next.

    Styles: `cursor`, where `parameter` is given the `id` of the last record of the page before;
    `page`, where `parameter` counts from 1; `none`, where there is one page. There is a further
    page where the field `more` is true, or, without such a field, while pages are full.
    """

    style: str = "none"
    parameter: str | None = None
    items: str | None = None  # the field with the records; None: the answer is the list
    more: str | None = None
    id: str = "id"
    size: int | None = None
    size_parameter: str = "limit"


class HttpLists:
    """A server that lists records, and the key to it. Use it as a context manager."""

    def __init__(
        self,
        source: str,
        base_url: str,
        token: str | None,
        headers: Mapping[str, str],
        patience: Patience,
    ) -> None:
        self._source = source
        self._patience = patience
        token = (token or "").strip()
        self._secrets = (token, *headers.values())
        if not (token.isascii() and token.isprintable()):
            # what the HTTP library says of it would quote it
            raise UnusableInput(f"{source}: its token holds characters that no key has")
        given = {"Accept": "application/json", "User-Agent": "waypoint", **headers}
        if token:
            given["Authorization"] = f"Bearer {token}"
        try:
            self._client = httpx.Client(base_url=base_url, headers=given, timeout=patience.timeout)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise UnusableInput(
                f"{source}: its base_url, token or headers cannot be used: {self._shown(error)}"
            ) from None

    def __enter__(self) -> HttpLists:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def pages(
        self, path: str, parameters: Mapping[str, Any], pagination: Pagination
    ) -> Iterator[Page]:
        """The pages of the list at `path`, one at a time.

        Raises:
            SourceRefused: a status that will not be better next time.
            Unavailable: no answer, or none but errors, as often as was tried.
            UnusableAnswer: not the expected list.
        """
        query = dict(parameters)
        if pagination.size is not None:
            query[pagination.size_parameter] = pagination.size
        number = 1
        if pagination.style == "page":
            query[pagination.parameter or "page"] = number
        while True:
            page = self._page(path, query, pagination)
            yield page
            if pagination.style == "none" or not page.items or not _goes_on(page, pagination):
                return
            if pagination.style == "page":
                number += 1
                query[pagination.parameter or "page"] = number
                continue
            last = page.items[-1]
            cursor = last.get(pagination.id) if isinstance(last, dict) else None
            name = pagination.parameter or "starting_after"
            if cursor is None or cursor == query.get(name):
                problem = f"has no {pagination.id!r}" if cursor is None else "is the same again"
                raise UnusableAnswer(
                    f"{self._source}: {path} says that it goes on, but the last record of the page"
                    f" {problem}, so there is no way to the next one"
                )
            query[name] = cursor

    def _page(self, path: str, query: Mapping[str, Any], pagination: Pagination) -> Page:
        response = self._get(path, query)
        try:
            return read_page(response.content.decode("utf-8-sig"), pagination.items)
        except (ValueError, RecursionError) as error:
            raise UnusableAnswer(
                f"{self._source}: the answer of {path} {_unlike(error)}:"
                f" {self._shown(response.text[:200])}",
                hint="see that base_url and the resource's `items` are right",
            ) from None

    def _get(self, path: str, query: Mapping[str, Any]) -> httpx.Response:
        patience = self._patience
        trying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((httpx.TransportError, _Passing)),
            stop=tenacity.stop_after_attempt(patience.attempts),
            wait=_Waits(patience),
            reraise=True,
        )
        try:
            return trying(self._try, path, query)
        except _Passing as passing:
            raise Unavailable(
                f"{self._source}: {path} answered {passing.status} to"
                f" {_times(trying)}: {self._shown(passing.said)}",
                hint="run the same command again later: what has landed is not landed twice",
            ) from None
        except httpx.TransportError as error:
            what = (
                "did not answer in time"
                if isinstance(error, httpx.TimeoutException)
                else ("cannot be reached")
            )
            raise Unavailable(
                f"{self._source}: {self._client.base_url.host} {what} ({_times(trying)}):"
                f" {self._shown(error) or type(error).__name__}",
                hint="see that base_url is right and the network is there, then run it again",
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceRefused(f"{self._source}: {path}: {self._shown(error)}") from None

    def _try(self, path: str, query: Mapping[str, Any]) -> httpx.Response:
        response = self._client.get(path, params=query)
        if response.status_code in _PASSING:
            passing = _Passing(response, self._said(response))
            if (
                passing.retry_after is not None
                and passing.retry_after > self._patience.longest_wait
            ):
                raise Unavailable(
                    f"{self._source}: {path} answered {response.status_code} and asks to come back"
                    f" in {passing.retry_after:.0f} s: {self._said(response)}",
                    hint="run the same command again then",
                )
            raise passing
        if response.is_success:
            return response
        status = response.status_code
        hints = {
            401: "see that the key is right and not revoked",
            403: "see that the key is allowed to read this",
            404: "see that base_url and the resource's path are right",
        }
        raise SourceRefused(
            f"{self._source}: {path} answered {status}: {self._said(response)}",
            hint=hints.get(status, "see the resource's parameters in sources.yml"),
        )

    def _said(self, response: httpx.Response) -> str:
        """What an error answer says for people."""
        text = response.text[:2000]
        try:
            error = response.json()["error"]
            text = error["message"] if isinstance(error, dict) else str(error)
        except (ValueError, KeyError, TypeError):
            text = " ".join(text.split())[:200] or response.reason_phrase
        return self._shown(text)

    def _shown(self, what: object) -> str:
        return redacted(str(what), self._secrets)


class _Passing(Exception):
    """An error status that may be better in a moment."""

    def __init__(self, response: httpx.Response, said: str) -> None:
        super().__init__(said)
        self.status = response.status_code
        self.said = said
        self.retry_after = _retry_after(response.headers.get("Retry-After"))


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
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _goes_on(page: Page, pagination: Pagination) -> bool:
    if pagination.more is not None:
        return bool(page.fields.get(pagination.more))
    return pagination.size is None or len(page.items) >= pagination.size


def _times(trying: tenacity.Retrying) -> str:
    attempts = trying.statistics.get("attempt_number", 1)
    return f"{attempts} requests" if attempts != 1 else "1 request"


def _unlike(error: Exception) -> str:
    if isinstance(error, ValueError) and str(error).startswith(("has ", "goes on")):
        return str(error)
    return "is not JSON"
