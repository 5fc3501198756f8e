"""The gateway's OpenAPI document: what each endpoint takes is the topic's derived JSON Schema."""

from __future__ import annotations

from typing import Any

from ingestion.gateway.bodies import JSON, LINES
from ingestion.gateway.endpoints import Endpoint
from waypoint.contracts.derived.json_schema import schema

#: The header that carries an API key, and what OpenAPI calls it.
KEY_HEADER = "X-API-Key"
_SCHEME = "key"

_PROBLEMS = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["field", "reason"],
        "properties": {
            "field": {"type": "string", "description": "Empty where the whole is wrong."},
            "reason": {"type": "string"},
        },
    },
}
_REFUSED = {
    "type": "object",
    "required": ["status", "errors"],
    "properties": {"status": {"type": "integer"}, "errors": _PROBLEMS},
}
_PLACE = {
    "partition": {"type": "integer", "minimum": 0},
    "offset": {"type": "integer", "minimum": 0},
}
_DELIVERED = {
    "type": "object",
    "required": ["status", "topic", "partition", "offset"],
    "properties": {"status": {"const": 202}, "topic": {"type": "string"}, **_PLACE},
}
_RESULTS = {
    "type": "object",
    "required": ["status", "topic", "accepted", "refused", "results"],
    "properties": {
        "status": {"type": "integer"},
        "topic": {"type": "string"},
        "accepted": {"type": "integer", "minimum": 0},
        "refused": {"type": "integer", "minimum": 0},
        "results": {
            "type": "array",
            "description": "One for each event, in the order of the batch.",
            "items": {
                "type": "object",
                "required": ["status"],
                "properties": {"status": {"type": "integer"}, **_PLACE, "errors": _PROBLEMS},
            },
        },
    },
}
_HEALTH = {
    "type": "object",
    "required": ["status", "reason"],
    "properties": {
        "status": {"enum": ["well", "unavailable"]},
        "reason": {"type": "string", "description": "Empty where all is well."},
    },
}
_RETRY = {
    "Retry-After": {
        "description": "Seconds to wait before the same is sent again.",
        "schema": {"type": "integer", "minimum": 1},
    }
}


def security(needs_key: bool) -> dict[str, Any]:
    """The part of the document that says how clients show who they are."""
    if not needs_key:
        return {}
    return {_SCHEME: {"type": "apiKey", "in": "header", "name": KEY_HEADER}}


def operation(endpoint: Endpoint, max_events: int, needs_key: bool) -> dict[str, Any]:
    """What OpenAPI is told of an endpoint beside its address."""
    event = _event(endpoint)
    wanted: dict[str, Any] = event
    content: dict[str, Any] = {}
    if endpoint.many:
        wanted = {"type": "array", "minItems": 1, "maxItems": max_events, "items": event}
        content[LINES] = {"schema": {"type": "string", "description": "An event on each line."}}
    described: dict[str, Any] = {
        "requestBody": {"required": True, "content": {JSON: {"schema": wanted}, **content}},
        "responses": _responses(endpoint.many, needs_key),
    }
    if needs_key:
        described["security"] = [{_SCHEME: []}]
    return described


def health() -> dict[int | str, dict[str, Any]]:
    """The answers of the endpoint that tells how the gateway is."""
    return {
        200: _answer("The brokers answer and have the topics.", _HEALTH),
        503: _answer("Events cannot be taken now; the reason says why.", _HEALTH),
    }


def _event(endpoint: Endpoint) -> dict[str, Any]:
    whole = schema(endpoint.topic)
    event = {name: value for name, value in whole.items() if not name.startswith("$")}
    event["properties"] = dict(event["properties"])
    if endpoint.types is not None:
        name = endpoint.types.field
        event["properties"][name] = {
            **event["properties"][name],
            "enum": list(endpoint.types.allowed),
        }
    return event


def _answer(description: str, of: dict[str, Any], retry: bool = False) -> dict[str, Any]:
    said: dict[str, Any] = {"description": description, "content": {JSON: {"schema": of}}}
    return {**said, "headers": _RETRY} if retry else said


def _responses(many: bool, needs_key: bool) -> dict[str, Any]:
    """By status; several events may be refused for different reasons, so they have one shape."""
    refused = {"anyOf": [_RESULTS, _REFUSED]} if many else _REFUSED
    answers = {
        "202": _answer("All replicas in sync have it.", _RESULTS if many else _DELIVERED),
        "400": _answer("It is no JSON.", refused),
        "408": _answer("The body did not come in time.", _REFUSED),
        "413": _answer("It is too long, or the batch has too many events.", refused),
        "415": _answer("The content type or encoding is not read.", _REFUSED),
        "422": _answer("It breaks the contract: the field, and the reason.", refused),
        "429": _answer("More events than this client may send.", _REFUSED, retry=True),
        "503": _answer("The brokers did not confirm it; send it again.", refused, retry=True),
    }
    if many:
        answers["207"] = _answer("Some were taken: the results say which.", _RESULTS)
    if needs_key:
        answers["401"] = _answer("No key, or nobody's.", _REFUSED)
    return dict(sorted(answers.items()))
