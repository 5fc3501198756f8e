"""Key pairs from the environment: dbt by profiles.yml and the loader sign in with the same key."""

from __future__ import annotations

import gzip
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

pytest.importorskip("dbt.adapters.snowflake")
import jwt
import snowflake.connector as connector
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ingestion.snowflake_account import CONNECTION, connection_arguments, with_connection
from waypoint.dbt_running import _environment
from waypoint.errors import UnusableInput
from waypoint.project import Project
from waypoint.simulator.local_server import listening

ROOT = Path(__file__).parents[3]
PASSPHRASE = "a passphrase"


class SignIns:
    """A server that refuses everybody, and keeps what they said."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        said = self.said

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if "login-request" in self.path:
                    said.append(json.loads(body)["data"])
                answer = json.dumps(
                    {"data": {}, "code": "390100", "message": "no", "success": False}
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.handler = Handler


@pytest.fixture
def sign_ins() -> Iterator[tuple[SignIns, dict[str, Any]]]:
    server = SignIns()
    with listening(server.handler, 0, threading.Event()) as url:
        where = urlsplit(url)
        yield (
            server,
            {
                "host": where.hostname,
                "port": where.port,
                "protocol": "http",
                "insecure_mode": True,
                "login_timeout": 20,
            },
        )


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rsa.RSAPrivateKey:
    """A key in a file with a passphrase, and the environment that leads to it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path / "key.p8"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE.encode()),
        )
    )
    for name in ("PASSWORD", "AUTHENTICATOR", "HOST"):
        monkeypatch.delenv(f"SNOWFLAKE_{name}", raising=False)
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", "org-account")
    monkeypatch.setenv("SNOWFLAKE_USER", "builder")
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PATH", str(path))
    monkeypatch.setenv("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", PASSPHRASE)
    return key


@pytest.fixture
def connection(key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch) -> rsa.RSAPrivateKey:
    """The same key, by a connection as Airflow has them instead of by variables."""
    path = os.environ["SNOWFLAKE_PRIVATE_KEY_PATH"]
    for name in ("ACCOUNT", "USER", "PRIVATE_KEY_PATH", "PRIVATE_KEY_PASSPHRASE"):
        monkeypatch.delenv(f"SNOWFLAKE_{name}")
    extra = {"account": "org-account", "private_key_file": path}
    said = {"conn_type": "snowflake", "login": "builder", "password": PASSPHRASE, "extra": extra}
    monkeypatch.setenv(CONNECTION, json.dumps(said))
    return key


def of_the_loader() -> dict[str, Any]:
    return dict(connection_arguments(os.environ))


def of_the_profile() -> dict[str, Any]:
    from dbt.adapters.snowflake.connections import SnowflakeCredentials
    from dbt.config.renderer import ProfileRenderer
    from dbt_common.context import set_invocation_context

    set_invocation_context(_environment(Project(ROOT, ROOT / "var", target="snowflake")))
    raw = yaml.safe_load((ROOT / "profiles.yml").read_text())
    output = ProfileRenderer({}).render_data(raw["waypoint"]["outputs"]["snowflake"])
    settings = {key: value for key, value in output.items() if key not in ("type", "threads")}
    credentials: Any = SnowflakeCredentials(**settings)
    return {
        "account": credentials.account,
        "database": credentials.database,
        "warehouse": credentials.warehouse,
        "role": credentials.role,
        **credentials.auth_args(),
    }


@pytest.mark.parametrize("arguments", [of_the_loader, of_the_profile])
def test_signed_in_with_the_key_that_the_environment_names(
    arguments: Any, key: rsa.RSAPrivateKey, sign_ins: tuple[SignIns, dict[str, Any]]
) -> None:
    signed_in_with(key, arguments(), sign_ins)


@pytest.mark.parametrize("arguments", [of_the_loader, of_the_profile])
def test_signed_in_with_the_key_that_a_connection_names(
    arguments: Any, connection: rsa.RSAPrivateKey, sign_ins: tuple[SignIns, dict[str, Any]]
) -> None:
    signed_in_with(connection, arguments(), sign_ins)


def signed_in_with(
    key: rsa.RSAPrivateKey, arguments: dict[str, Any], sign_ins: tuple[SignIns, dict[str, Any]]
) -> None:
    server, where = sign_ins
    with pytest.raises(connector.errors.Error):
        connector.connect(**arguments | where)
    said = server.said[0]
    assert said["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    claims = jwt.decode(said["TOKEN"], key.public_key(), algorithms=["RS256"])
    assert claims["sub"].endswith(".BUILDER")
    assert "PASSWORD" not in said
    assert PASSPHRASE not in json.dumps(server.said)


def test_a_password_does_without_a_key(
    key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SNOWFLAKE_PRIVATE_KEY_PATH")
    monkeypatch.setenv("SNOWFLAKE_PASSWORD", "secret")
    for arguments in (of_the_loader(), of_the_profile()):
        assert arguments["password"] == "secret"
        assert not arguments.get("private_key")
        assert "authenticator" not in arguments


@pytest.mark.parametrize(
    "written",
    [
        "snowflake://builder:a%20word@/?account=org-account&authenticator=snowflake",
        "snowflake://builder:a%20word@/?__extra__=%7B%22account%22%3A+%22org-account%22%7D",
        '{"login": "builder", "password": "a word", "extra": "{\\"account\\": \\"org-account\\"}"}',
    ],
)
def test_a_connection_is_a_uri_or_json(written: str) -> None:
    found = with_connection({CONNECTION: written, "SNOWFLAKE_ROLE": "CI"})
    assert found["SNOWFLAKE_ACCOUNT"] == "org-account"
    assert (found["SNOWFLAKE_USER"], found["SNOWFLAKE_PASSWORD"]) == ("builder", "a word")
    assert found["SNOWFLAKE_ROLE"] == "CI"


def test_variables_come_before_a_connection() -> None:
    mine = {"SNOWFLAKE_ACCOUNT": "mine", "SNOWFLAKE_USER": "me", CONNECTION: "snowflake://you@/"}
    assert with_connection(mine) == mine


@pytest.mark.parametrize("written", ['{"password": "hidden"', '{"extra": ["hidden"]}', "{hidden}"])
def test_a_connection_that_cannot_be_read_is_not_repeated(written: str) -> None:
    with pytest.raises(UnusableInput, match=CONNECTION) as caught:
        with_connection({CONNECTION: written})
    assert "hidden" not in str(caught.value)
