"""Charges, put where the local server that speaks Stripe's API reads them."""

from __future__ import annotations

from waypoint.simulator.scenario import Charges
from waypoint.simulator.stripe_api import ChargeStore
from waypoint.simulator.tables import Tables

_CHARGES = """
select charge::varchar as charge
from {query}
order by (charge::json ->> 'created')::bigint, charge ->> 'id'
"""


def charge(tables: Tables, charges: Charges, store: ChargeStore) -> int:
    """Add the charges that were made or changed in the play; how many they were."""
    found = tables.execute(charges.query, _CHARGES).fetchall()
    return store.upsert(text for (text,) in found)
