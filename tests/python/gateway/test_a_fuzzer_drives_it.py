"""The OpenAPI document is true: a fuzzer that goes by it finds no fault of the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gateway.served import Brokers, Running, gateway_running
from hypothesis import HealthCheck, Phase, assume, given, settings

from ingestion.gateway.app import Gateway

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

POSITIVE = schemathesis.GenerationMode.POSITIVE

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
        modes = list(schemathesis.GenerationMode) if operation.method == "post" else [POSITIVE]
        for mode in modes:

            @settings(max_examples=examples, **_STEADY)
            @given(case=operation.as_strategy(generation_mode=mode))
            def try_out(case: Any) -> None:
                nonlocal sent
                assume(not beyond_63_bits(case.body))
                case.call_and_validate()
                sent += 1

            try_out()
    return sent


def beyond_63_bits(body: Any) -> bool:
    """Whether the fuzzer, which compares as floats, may be wrong about a number's bounds."""
    if isinstance(body, list):
        return any(map(beyond_63_bits, body))
    values = body.values() if isinstance(body, dict) else ()
    return any(isinstance(value, int | float) and abs(value) > 2**62 for value in values)


def test_what_the_document_says_holds(described: Any):
    assert drive(described, 8) > 30


@pytest.mark.long
@pytest.mark.timeout(1_200)
def test_what_the_document_says_holds_at_length(described: Any):
    assert drive(described, 300) > 1_000


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
