"""`python -m waypoint.orchestration.prepare`: Airflow's database and the pools that DAGs name."""

from __future__ import annotations

import os
import sys

from waypoint.orchestration.pools import POOLS, slots
from waypoint.project import DEFAULT_TARGET, TARGET_VARIABLE


def main() -> None:
    """Bring the database up to date; with --unpause, unpause the DAGs that it knows."""
    from airflow.models.dag import DagModel
    from airflow.models.pool import Pool
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session
    from sqlalchemy import update

    initdb()
    target = os.environ.get(TARGET_VARIABLE) or DEFAULT_TARGET
    with create_session() as session:
        for name, description in POOLS.items():
            Pool.create_or_update_pool(
                name, slots(target), description, include_deferred=False, session=session
            )
        if "--unpause" in sys.argv:
            session.execute(update(DagModel).values(is_paused=False))


if __name__ == "__main__":
    main()
