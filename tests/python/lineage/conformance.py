"""OpenLineage's own schemas, which events are held against."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

SPEC = Path(__file__).parents[4] / "shared" / "data" / "conformance" / "openlineage" / "spec"


def conforming() -> Callable[[dict[str, Any]], None]:
    """A function that raises unless an event, and every facet in it that the standard knows, is
    valid; skips the test where the schemas are not there."""
    if not SPEC.is_dir():
        pytest.skip(f"OpenLineage's schemas are not there: {SPEC}")
    files = [SPEC / "OpenLineage.json", *(SPEC / "facets").glob("*.json")]
    schemas = [json.loads(path.read_text()) for path in files]
    registry: Registry = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas
    )
    known = {schema["$id"] for schema in schemas}

    def check(document: Any, reference: str) -> None:
        validator = Draft202012Validator(
            {"$ref": reference}, registry=registry, format_checker=FormatChecker()
        )
        validator.validate(document)

    def facets_in(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if "_schemaURL" in value:
                yield value
            for part in value.values():
                yield from facets_in(part)
        elif isinstance(value, list):
            for part in value:
                yield from facets_in(part)

    def conform(event: dict[str, Any]) -> None:
        check(event, schemas[0]["$id"])
        check(event, event["schemaURL"])
        for facet in facets_in(event):
            if facet["_schemaURL"].split("#")[0] in known:
                check(facet, facet["_schemaURL"])
            else:
                assert "openlineage.io" not in facet["_schemaURL"], facet["_schemaURL"]

    return conform
