"""API keys and how much each client may send."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from gateway.served import Brokers, event, gateway_running, refusal

from ingestion.gateway.app import Gateway
from ingestion.gateway.keys import Keys, new_key, read_keys
from ingestion.gateway.rates import Rates
from ingestion.gateway.serving import Address, prepare
from ingestion.gateway.settings import Settings
from waypoint.errors import UnusableInput
from waypoint.project import Project

KEY, OTHER = "a-key-that-nobody-knows", "another-key-for-another"


def test_only_clients_with_a_key_may_send(
    made: Callable[..., Gateway], brokers: Brokers, caplog: pytest.LogCaptureFixture, capfd
):
    caplog.set_level(logging.DEBUG)
    keys = read_keys({"WAYPOINT_GATEWAY_KEYS": f"shop:{KEY}, app:{OTHER}"}, None)
    with gateway_running(made(brokers.bootstrap, keys)) as gateway:
        for name, said in (("X-Nothing", "is missing"), ("X-API-Key", "is not known")):
            answer = gateway.post("user", event(), **{name: "a-key-that-is-none-of-ours"})
            assert answer.status_code == 401
            assert refusal(answer) == {"X-API-Key": said}
            assert "www-authenticate" in answer.headers
        for key in (KEY, OTHER):
            assert gateway.post("user", event(), X_API_Key=key).status_code == 202
            assert gateway.post("batch", [event()], X_API_Key=key).status_code == 202
        # who looks after it needs none
        assert gateway.http.get("/health").status_code == 200
        metrics = gateway.http.get("/metrics").text
        document = gateway.http.get("/openapi.json").json()

    assert document["paths"]["/events/user"]["post"]["security"] == [{"key": []}]
    said = caplog.text + "".join(capfd.readouterr()) + metrics + repr(keys)
    for secret in (KEY, OTHER, "a-key-that-is-none-of-ours"):
        assert secret not in said


def test_a_file_of_hashes_will_do(tmp_path: Path):
    file = tmp_path / "keys"
    key, line = new_key("app")
    file.write_text(f"# our apps\n{line}  # since May\n\nshop:{hashlib.sha256(b'k').hexdigest()}\n")

    keys = read_keys({}, file)

    assert key not in file.read_text()
    assert (keys.client(key), keys.client("k"), keys.client("")) == ("app", "shop", None)
    assert keys.client("") is None
    assert keys.client("\udcff not text") is None


@pytest.mark.parametrize(
    ("environment", "lines", "words"),
    [
        (KEY, None, "entry 1: is not of the form name:"),
        (f"a:{KEY},a:{OTHER}", None, "entry 2: the client a stands there twice"),
        ("a:short", None, "entry 1 (a): the key is shorter than 16"),
        ("", f"a:{KEY}", "line 1 (a): what follows the name is no SHA-256"),
        ("", "\n no name", "line 2: is not of the form name:"),
    ],
)
def test_keys_that_cannot_be_used_are_told_without_repeating_them(
    tmp_path: Path, environment: str, lines: str | None, words: str
):
    file = tmp_path / "keys"
    if lines is not None:
        file.write_text(lines)

    with pytest.raises(UnusableInput) as told:
        read_keys({"WAYPOINT_GATEWAY_KEYS": environment}, file if lines else None)

    assert words in str(told.value)
    assert KEY not in str(told.value) and "short:" not in str(told.value)


def test_without_keys_only_this_machine_is_served(project: Project):
    for host in ("0.0.0.0", "::", "192.0.2.7", "gateway.example"):
        with pytest.raises(UnusableInput, match="there are no API keys"):
            prepare(project, {}, Address(host, 80), {})
    for host in ("127.0.0.1", "::1", "localhost"):
        assert not prepare(project, {}, Address(host, 80), {}).keys
    environment = {"WAYPOINT_GATEWAY_KEYS": f"shop:{KEY}"}
    assert prepare(project, {}, Address("0.0.0.0", 80), environment).keys


def test_a_client_that_sends_too_much_is_told_when_to_come_back(
    made: Callable[..., Gateway], brokers: Brokers
):
    keys = read_keys({"WAYPOINT_GATEWAY_KEYS": f"shop:{KEY},app:{OTHER}"}, None)
    # as good as never filled again
    slow = made(brokers.bootstrap, keys, rate=0.001, burst=10, max_events=10)
    with gateway_running(slow) as gateway:
        assert gateway.post("batch", [event()] * 8, X_API_Key=KEY).status_code == 202
        answer = gateway.post("batch", [event()] * 8, X_API_Key=KEY)
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1
        assert "may send" in refusal(answer)[""]
        # the one event that is left, and no other
        statuses = [gateway.post("user", event(), X_API_Key=KEY).status_code for _ in range(3)]
        assert statuses == [202, 429, 429]
        # others are not touched
        assert gateway.post("user", event(), X_API_Key=OTHER).status_code == 202
        # and whoever tries keys out is slowed down
        tried = [gateway.post("user", event(), X_API_Key=f"{n}").status_code for n in range(12)]
        assert tried == [401] * 10 + [429] * 2
        assert gateway.post("user", event(), X_API_Key=OTHER).status_code == 202


def test_a_bucket_fills_with_time_and_no_further_than_its_brim():
    now = 0.0
    rates = Rates(rate=10, burst=20, clock=lambda: now)

    assert rates.take("a", 20) == 0
    assert rates.take("a", 5) == pytest.approx(0.5)
    now = 0.5
    assert rates.take("a", 5) == 0
    assert rates.take("a", 1) > 0
    now = 1_000.0
    assert rates.take("a", 21) > 0
    assert rates.take("a", 20) == 0


def test_ever_so_many_clients_take_no_more_memory():
    rates = Rates(rate=1, burst=2, clock=lambda: 0.0, most_clients=100)

    for number in range(1_000):
        rates.take(f"client {number}", 1)
    rates.take("client 999", 1)

    assert rates.take("client 999", 1) > 0  # the newest are remembered
    assert len(rates._buckets) == 100


def test_several_processes_allow_together_what_one_would(made: Callable[..., Gateway]):
    one = made("nowhere", rate=900.0, burst=3_000, max_events=1_000)

    shared = one.shared_by(6).settings

    assert shared.rate == 150.0
    assert shared.burst == 1_000  # a whole batch still fits


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"RATE": "many"}, "WAYPOINT_GATEWAY_RATE=many: is no number above 0"),
        ({"RATE": "0"}, "is no number above 0"),
        ({"MAX_BODY": "-1"}, "is no number above 0"),
        ({"DELIVERY_SECONDS": "nan"}, "is no number above 0"),
        ({"BURST": "10"}, "a batch of WAYPOINT_GATEWAY_MAX_EVENTS=1000 events would never be"),
    ],
)
def test_settings_that_cannot_be_are_refused(environment: dict[str, str], words: str):
    named = {f"WAYPOINT_GATEWAY_{name}": value for name, value in environment.items()}

    with pytest.raises(UnusableInput, match=words):
        Settings.read(named)


def test_nobody_is_everybody_where_there_are_no_keys():
    assert not Keys()
    assert Keys().client("x") is None
