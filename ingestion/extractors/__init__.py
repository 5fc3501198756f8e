"""One module for each kind of source; a kind's module is imported when a source of it is read."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from ingestion.extraction import Extractor

#: The `kind` of an entry in sources.yml, and the module whose `extract` reads it.
KINDS = {
    "postgres": "ingestion.extractors.postgres",
    "rest": "ingestion.extractors.rest",
    "files": "ingestion.extractors.files",
    "dumps": "ingestion.extractors.dumps",
}


def extractor(kind: str) -> Extractor:
    """The function that reads sources of `kind`; KeyError for an unknown kind."""
    return cast("Extractor", import_module(KINDS[kind]).extract)
