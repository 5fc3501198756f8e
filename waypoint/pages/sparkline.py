"""A small line without axes that shows where a number comes from."""

from __future__ import annotations

from collections.abc import Sequence

_WIDTH, _HEIGHT = 100, 28


def drawn(values: Sequence[float]) -> str:
    """The values in their order as an SVG line; empty where there is no line to draw."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = _WIDTH / (len(values) - 1)
    points = (
        f"{index * step:.1f} {_HEIGHT - (value - low) / span * _HEIGHT:.1f}"
        for index, value in enumerate(values)
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path d="M{" L".join(points)}"/></svg>'
    )
