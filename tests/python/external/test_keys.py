"""Keys from connections as Airflow writes them in the environment."""

from __future__ import annotations

import pytest

from ingestion.external.keys import connections_of


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ('{"conn_type": "http", "password": "a b&c"}', "a b&c"),
        ("http://:s3cr%26t@api.example.com", "s3cr&t"),
        ("http://user:key@", "key"),
        ("http://api.example.com", None),
        ('{"conn_type": "http"}', None),
        ("{broken", None),
        ("http://[broken", None),
        ("", None),
    ],
)
def test_the_key_is_the_password_of_the_connection(written, password):
    assert connections_of({"AIRFLOW_CONN_TIDES": written})("tides") == password


def test_a_connection_that_is_not_there_has_no_key():
    assert connections_of({})("tides") is None
