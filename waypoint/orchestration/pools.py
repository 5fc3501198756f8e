"""The pools that the DAGs name: who may open the warehouse at the same time."""

from __future__ import annotations

from waypoint.warehouse import EMBEDDED

#: The pool of the tasks that open the warehouse.
WAREHOUSE_POOL = "waypoint_warehouse"

POOLS = {WAREHOUSE_POOL: "Tasks that open the warehouse: one at a time where it is a DuckDB file."}

_SHARED_SLOTS = 8


def slots(target: str) -> int:
    """How many tasks of a pool run at the same time: a DuckDB file has one writer."""
    return 1 if target == EMBEDDED else _SHARED_SLOTS
