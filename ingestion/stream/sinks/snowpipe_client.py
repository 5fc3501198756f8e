"""Snowpipe Streaming's client: its package, and its errors in Waypoint's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from ingestion.stream.sinks import Channel, Fenced
from waypoint.errors import Unavailable, UnusableInput

if TYPE_CHECKING:
    from snowflake.ingest.streaming import ChannelStatus, StreamingIngestError

_LONGEST_MESSAGE = 300

#: Errors by what is to be done: the channel is not ours any more; wait; somebody has to mend it.
_FENCED = {
    "INVALID_CHANNEL_ERROR",
    "CLOSED_CHANNEL_ERROR",
    "CHANNEL_CLOSED_BY_USER",
    "CHANNEL_NOT_FOUND",
    "INPUT_CHANNEL_CLOSED",
    "OUTPUT_CHANNEL_CLOSED",
}
_FULL = {
    "RECEIVER_SATURATED",
    "MEMORY_THRESHOLD_EXCEEDED",
    "MEMORY_THRESHOLD_EXCEEDED_IN_CONTAINER",
}
_MISTAKEN = {
    "CONFIG_ERROR",
    "INVALID_ARGUMENT",
    "AUTH_TOKEN_ERROR",
    "SF_API_AUTH_ERROR",
    "SF_API_USER_ERROR",
    "SF_API_NOT_FOUND_ERROR",
}


def sdk() -> Any:
    """The package of the client.

    Raises:
        UnusableInput: it is not installed.
    """
    # its own words go to stdout, unless it is told otherwise
    os.environ.setdefault("SS_LOG_LEVEL", "error")
    try:
        import snowflake.ingest.streaming as package
    except ImportError:
        raise UnusableInput(
            "the package snowpipe-streaming is not installed", hint="run make setup"
        ) from None
    return package


class Full(Unavailable):
    """The service takes no more rows for now."""


@contextmanager
def in_our_words(what: str) -> Iterator[None]:
    """What the service refuses in Waypoint's own errors; `what` it is about."""
    from snowflake.ingest.streaming import StreamingIngestError

    try:
        yield
    except StreamingIngestError as error:
        raise _meant(what, error) from None


def _meant(what: str, error: StreamingIngestError) -> Exception:
    words = f"{error.error_code.value}: {shortened(error.message)}"
    code = error.error_code.name
    if code in _FENCED:
        return Fenced(
            f"{what}: another loader has taken over, or Snowflake gave the channel up: {words}"
        )
    if code in _FULL:
        return Full(f"{what}: {words}")
    if code in _MISTAKEN:
        return UnusableInput(
            f"{what}: Snowflake refuses: {words}",
            hint="check the SNOWFLAKE_* variables; waypoint snowflake setup --apply makes the"
            " pipes",
        )
    return Unavailable(f"{what}: Snowflake: {words}")


def refuse_invalid(channel: Channel, status: ChannelStatus) -> None:
    """Raise `Fenced` where the service says that a channel is not valid any more."""
    if status.status_code != "SUCCESS":
        raise Fenced(f"{channel}: the channel is not valid any more: {status.status_code}")


def committed_offset(channel: Channel, status: ChannelStatus) -> int:
    """The last committed offset of a channel; -1 where there is none."""
    token = status.latest_committed_offset_token
    if token is None:
        return -1
    try:
        return int(token)
    except ValueError:
        raise UnusableInput(
            f"{channel}: the channel's offset token {token[:40]!r} is no offset",
            hint="somebody else writes to this channel; use another database",
        ) from None


def channel_name(channel: Channel) -> str:
    """What a partition's channel is called in the service."""
    return f"{channel.topic}-{channel.partition}"


def shortened(message: str) -> str:
    """A message of the service in one line, and not too long."""
    words = " ".join(message.split())
    return words if len(words) <= _LONGEST_MESSAGE else f"{words[:_LONGEST_MESSAGE]}…"


def end_quietly(end: Callable[..., object], *arguments: object) -> None:
    """End what is given up; what fails by that was lost already."""
    # nothing leans on it: the next opening fences what is left
    with suppress(Exception):
        end(*arguments)
