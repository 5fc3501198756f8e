"""Keeping secrets out of what people and logs get to see."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, quote_plus

HIDDEN = "***"


def redacted(text: str, secrets: Iterable[str | None]) -> str:
    """`text` without the secrets, in whatever way they are written in a URL or an SQL literal."""
    spellings = {
        spelling
        for secret in secrets
        if secret
        for spelling in (
            secret,
            quote(secret, safe=""),
            quote(secret),
            quote_plus(secret),
            secret.replace("'", "''"),
            secret.replace("\\", "\\\\").replace("'", "\\'"),
        )
    }
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, HIDDEN)
    return text
