"""Errors that a person can act on: what went wrong, where, and what to do about it."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes of every `waypoint` command."""

    OK = 0
    FOUND_FAILURES = 1  # the work was done and something in it failed: a test, a source, a rule
    UNUSABLE_INPUT = 2  # a usage or configuration mistake; nothing was done
    UNAVAILABLE = 3  # a server, file lock or disk that the work needs is not there; run it again
    INTERRUPTED = 130  # Ctrl-C; running again carries on


class WaypointError(Exception):
    """The base of all expected failures; the command line prints it without a traceback.

    Attributes:
        hint: what the person can do, in one sentence; may be empty.
        exit_code: what the process ends with.
    """

    exit_code: Exit = Exit.FOUND_FAILURES

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UnusableInput(WaypointError):
    """A configuration, contract or argument that cannot be used; nothing was changed."""

    exit_code = Exit.UNUSABLE_INPUT


class Unavailable(WaypointError):
    """A server, lock or disk that is not there now; the same command can be run again."""

    exit_code = Exit.UNAVAILABLE
