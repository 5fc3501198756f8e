"""The OpenAPI document is true: a fuzzer that goes by it finds no fault of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gateway.served import Brokers, Running, gateway_running
from hypothesis import HealthCheck, Phase, given, settings

from ingestion.gateway.app import Gateway

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

#: Examples do not depend on a clock or on earlier runs, so that what fails fails again.
_STEADY: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    "phases": (Phase.explicit, Phase.generate),
}


@pytest.fixture(scope="module")
def described(made: Callable[..., Gateway], brokers: Brokers) -> Iterator[Any]:
    """The document as the gateway serves it; checks know that a batch may be taken in part."""
    with gateway_running(made(brokers.bootstrap, max_body=300_000)) as gateway:
        configuration = schemathesis.config.SchemathesisConfig.from_dict(
            {
                "checks": {
                    "negative_data_rejection": {
                        "expected-statuses": ["207", "400", "413", "415", "422"]
                    },
                    # days that no calendar has: a schema cannot tell, and the answer does
                    "positive_data_acceptance": {"expected-statuses": ["2xx"]},
                }
            }
        )
        yield schemathesis.openapi.from_url(f"{gateway.url}/openapi.json", config=configuration)


def drive(described: Any, examples: int) -> int:
    """Send every operation what it should take and what it should not; how many requests."""
    sent = 0
    for operation in (found.ok() for found in described.get_all_operations()):
        modes = list(schemathesis.GenerationMode)
        if operation.body.is_empty() if hasattr(operation.body, "is_empty") else not operation.body:
            modes = modes[:1]  # nothing about it could be wrong
        for mode in modes:

            @settings(max_examples=examples, **_STEADY)
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_out(case: Any) -> None:
                nonlocal sent
                case.call_and_validate()
                sent += 1

            try_out()
    return sent


def test_what_the_document_says_holds(described: Any):
    assert drive(described, 12) > 50


@pytest.mark.long
def test_what_the_document_says_holds_at_length(described: Any):
    assert drive(described, 1_500) > 5_000


def test_the_document_says_what_the_contract_does(gateway: Running):
    document = gateway.http.get("/openapi.json").json()

    assert set(document["paths"]) == {
        *(f"/events/{path}" for path in ("user", "booking", "batch")),
        "/health",
        "/metrics",
    }
    asked = document["paths"]["/events/booking"]["post"]["requestBody"]["content"]
    schema = asked["application/json"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["event_type"]["enum"] == [
        "booking_created",
        "booking_updated",
        "booking_cancelled",
        "payment_completed",
    ]
    assert schema["properties"]["user_id"]["minimum"] == 0
