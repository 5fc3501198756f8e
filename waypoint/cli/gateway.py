"""`waypoint gateway`: take events over HTTP."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from waypoint.cli.invocation import invocation
from waypoint.cli.output import answer, print_json, remarks
from waypoint.errors import UnusableInput


def gateway(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="On which port; 0 is any that is free.")] = 8080,
    workers: Annotated[int, typer.Option(help="How many processes share the port.", min=1)] = 1,
    new_key: Annotated[
        str | None,
        typer.Option(help="Only make an API key for this client.", metavar="NAME"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Where it answers, as JSON.")] = False,
) -> None:
    """Take events over HTTP, check them against their topic's contract, and send them to Kafka.

    Which endpoints there are stands in the contracts of the topics; /health, /metrics and
    /openapi.json are beside them. An event is acknowledged when all in-sync replicas have it.
    Ctrl-C or SIGTERM ends it after the requests that had come before.

    Kafka is the one of `waypoint services up`, or where WAYPOINT_KAFKA points. API keys come from
    WAYPOINT_GATEWAY_KEYS or a file of their hashes, WAYPOINT_GATEWAY_KEYS_FILE.

    \b
    Examples:
      waypoint gateway
      waypoint gateway --host 0.0.0.0 --port 80 --workers 4
      waypoint gateway --new-key mobile-app
      waypoint gateway --port 0 --json | jq -r .url
    """
    if new_key is not None:
        _new_key(new_key, as_json)
        return
    try:
        from ingestion.gateway.serving import Address, prepare, serve
    except ImportError as error:
        raise UnusableInput(
            f"the gateway's packages are not installed: {error.name} is missing",
            hint="install them with `make setup`",
        ) from None
    from ingestion.stream.connection import kafka_settings

    shared = invocation(context)
    address = Address(host, port)
    prepared = prepare(shared.project, kafka_settings(shared.project), address, os.environ)

    def ready(url: str) -> None:
        if as_json:
            paths = [endpoint.address for endpoint in prepared.endpoints]
            print_json({"url": url, "pid": os.getpid(), "endpoints": paths})
        else:
            console = answer()
            console.print(f"gateway at {url}", markup=False)
            for endpoint in prepared.endpoints:
                console.print(f"  POST {endpoint.address}  to {endpoint.topic.name}", markup=False)
        sys.stdout.flush()  # whoever started it reads the address while it runs
        if not prepared.keys:
            remarks(shared.quiet).print("there are no API keys: whoever reaches it may send")

    serve(prepared, address, workers, ready)


def _new_key(name: str, as_json: bool) -> None:
    from ingestion.gateway.keys import new_key

    key, line = new_key(name)
    if as_json:
        print_json({"client": name, "key": key, "line": line})
        return
    console = answer()
    console.print(f"key, for the client alone:  {key}", markup=False)
    console.print(f"line for the file of keys:  {line}", markup=False)
