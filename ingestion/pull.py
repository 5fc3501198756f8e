"""Reading sources one after the other; one that fails stops no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb

from ingestion.extraction import Context, Outcome, Source
from ingestion.extractors import extractor
from ingestion.landing import LandingAreaFull
from waypoint.errors import Exit, WaypointError


@dataclass(frozen=True)
class FailedSource:
    """A source that could not be read to its end; what it had landed until then is kept."""

    source: str
    error: str
    hint: str = ""
    exit_code: Exit = Exit.FOUND_FAILURES


def pull(sources: Iterable[Source], context: Context) -> Iterator[Outcome | FailedSource]:
    """Land what is new in each of `sources`: an outcome for each batch, or what went wrong.

    What killed writers left in the landing area is removed first; the caller holds the right to
    change the project's state.

    Raises:
        LandingAreaFull: no room on the disk, which no source would find.
    """
    context.area.clean()
    for source in sources:
        try:
            yield from extractor(source.kind)(source, context)
        except LandingAreaFull:
            raise
        except WaypointError as error:
            yield FailedSource(source.name, str(error), error.hint, error.exit_code)
        except (OSError, duckdb.Error) as error:
            # a disk, a file or memory that one source wants is no reason to leave out the others
            reason = " ".join(str(error).split())
            yield FailedSource(source.name, f"{type(error).__name__}: {reason[:500]}")
