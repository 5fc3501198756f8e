"""The local server answers as Stripe's list API does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from waypoint.simulator.stripe_api import ChargeStore, serving

KEY = "sk_test_abcdefgh1234"


@pytest.fixture
def store(tmp_path: Path) -> ChargeStore:
    """Twelve charges, three in each second."""
    store = ChargeStore(tmp_path / "charges.sqlite")
    store.upsert({"id": f"ch_{n}", "created": 1000 + n // 3, "amount": n} for n in range(12))
    return store


@pytest.fixture
def client(store: ChargeStore) -> Iterator[httpx.Client]:
    with (
        serving(store, KEY) as api,
        httpx.Client(base_url=api.url, headers={"Authorization": f"Bearer {KEY}"}) as client,
    ):
        yield client


def numbers(client: httpx.Client, **parameters: Any) -> list[int]:
    response = client.get("/v1/charges", params=parameters)
    assert response.status_code == 200
    return [record["amount"] for record in response.json()["data"]]


def error(client: httpx.Client, path: str = "/v1/charges", **parameters: Any) -> dict[str, Any]:
    response = client.get(path, params=parameters)
    return {"status": response.status_code, **response.json()["error"]}


def test_the_newest_come_first_ten_unless_asked(client: httpx.Client) -> None:
    page = client.get("/v1/charges").json()
    assert (page["object"], page["url"], page["has_more"]) == ("list", "/v1/charges", True)
    assert [record["amount"] for record in page["data"]] == [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]


def test_cursors_go_both_ways(client: httpx.Client) -> None:
    assert numbers(client, limit=3, starting_after="ch_7") == [6, 5, 4]
    assert numbers(client, limit=3, ending_before="ch_7") == [10, 9, 8]
    assert numbers(client, starting_after="ch_0") == []
    assert client.get("/v1/charges", params={"limit": 12}).json()["has_more"] is False


def test_created_filters(client: httpx.Client) -> None:
    assert numbers(client, **{"created[gte]": 1003}) == [11, 10, 9]
    assert numbers(client, **{"created[gt]": 1002}) == [11, 10, 9]
    assert numbers(client, **{"created[lt]": 1001}) == [2, 1, 0]
    assert numbers(client, **{"created[lte]": 1000}) == [2, 1, 0]
    assert numbers(client, created=1001) == [5, 4, 3]
    assert numbers(client, **{"created[gte]": 1001, "created[lt]": 1003, "limit": 2}) == [8, 7]


def test_one_charge(client: httpx.Client) -> None:
    assert client.get("/v1/charges/ch_5").json()["amount"] == 5
    missing = error(client, "/v1/charges/ch_99")
    assert (missing["status"], missing["code"], missing["param"]) == (404, "resource_missing", "id")


def test_a_changed_charge_keeps_its_place(store: ChargeStore, client: httpx.Client) -> None:
    store.upsert([{"id": "ch_4", "created": 1001, "amount": 400}])
    assert numbers(client, created=1001) == [5, 400, 3]
    assert store.count() == 12


def test_an_upsert_is_whole_or_not_at_all(store: ChargeStore) -> None:
    with pytest.raises(Exception, match="NOT NULL"):
        store.upsert([{"id": "ch_a", "created": 1, "amount": 1}, {"id": "ch_b"}])
    assert store.get("ch_a") is None


@pytest.mark.parametrize(
    ("parameters", "message", "code"),
    [
        ({"limit": 0}, "Limit must be greater", "parameter_invalid_integer"),
        ({"limit": 101}, "Limit must be less", "parameter_invalid_integer"),
        ({"limit": "ten"}, "Invalid integer: ten", "parameter_invalid_integer"),
        ({"created[gte]": "today"}, "Invalid integer: today", "parameter_invalid_integer"),
        ({"colour": "red"}, "Received unknown parameter: colour", "parameter_unknown"),
        ({"starting_after": "ch_99"}, "No such charge: 'ch_99'", "resource_missing"),
        ({"starting_after": "ch_1", "ending_before": "ch_2"}, "You can only provide one", None),
    ],
)
def test_bad_parameters(
    client: httpx.Client, parameters: dict[str, Any], message: str, code: str | None
) -> None:
    found = error(client, **parameters)
    assert (found["status"], found["type"]) == (400, "invalid_request_error")
    assert found["message"].startswith(message) and found.get("code") == code


def test_keys(client: httpx.Client) -> None:
    url = f"{client.base_url}/v1/charges"
    assert httpx.get(url, auth=(KEY, "")).status_code == 200
    none, wrong = httpx.get(url), httpx.get(url, auth=("sk_test_abcdefgh9999", ""))
    assert (none.status_code, wrong.status_code) == (401, 401)
    assert wrong.json()["error"]["message"] == "Invalid API Key provided: sk_test_********9999"


def test_other_urls(client: httpx.Client) -> None:
    assert error(client, "/v1/refunds")["status"] == 404
    assert client.post("/v1/charges", data={"amount": "1"}).status_code == 404
