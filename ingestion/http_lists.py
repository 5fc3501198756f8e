"""Reading lists over HTTP page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ingestion.http_requests import (
    HttpServer,
    Patience,
    Reply,
    SourceRefused,
    Unreadable,
    UnusableAnswer,
)
from ingestion.json_items import Page, read_page

__all__ = ["HttpLists", "Pagination", "Patience", "SourceRefused", "UnusableAnswer"]


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
        self._server = HttpServer(
            source, base_url, token, headers, patience, secrets=tuple(headers.values())
        )

    def __enter__(self) -> HttpLists:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.__exit__()

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
        def reading(reply: Reply) -> Page:
            try:
                return read_page(reply.content.decode("utf-8-sig"), pagination.items)
            except (ValueError, RecursionError) as error:
                raise Unreadable(_unlike(error)) from None

        return self._server.get(path, query, reading)


def _goes_on(page: Page, pagination: Pagination) -> bool:
    if pagination.more is not None:
        return bool(page.fields.get(pagination.more))
    return pagination.size is None or len(page.items) >= pagination.size


def _unlike(error: Exception) -> str:
    if isinstance(error, ValueError) and str(error).startswith(("has ", "goes on")):
        return str(error)
    return "is not JSON"
