"""A local server that stands for services of other parties: answers of the same shape, faults too.

    with sandbox_running(project) as sandbox:
        httpx.get(f"{sandbox.url}/api.example.com/v1/readings", params={"station": "A"})

The first folder of a path is the host that is stood for. Which hosts and paths there are, and the
queries behind them, are the scenario's: `scenario/sandbox.yml`. A seed and a time decide every
byte. Modules: `routes` (the file), `answers` (pages and feeds), `faults`, `server`.
"""

from waypoint.simulator.sandbox.server import Sandbox, sandbox_running

__all__ = ["Sandbox", "sandbox_running"]
