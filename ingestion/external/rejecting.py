"""What is not published lands in quarantine, with the reason and as it was sent.

A message that breaks the contract gets a place in the topic as if it had been published, so that
it can be replayed once the contract is mended. Of what never became a message the record is kept,
or the answer that nothing could be made of. The same thing rejected again is there already.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa

from ingestion.batches import land_query
from ingestion.engine import open_engine
from ingestion.external.publishing import Publisher, keyed
from ingestion.external.transforming import Rejected
from ingestion.landing import LandingArea
from ingestion.messages import Topic, land_messages
from ingestion.taking_apart import MESSAGE_COLUMNS
from ingestion.validation import PROBLEM, PROBLEM_FIELDS
from waypoint.contracts.model import Contract

_TEXT = pa.string()


def quarantine_items(
    source: str, topic: Topic, rejected: Sequence[Rejected], area: LandingArea, spill: Path
) -> int:
    """Land what never became a message in quarantine; how many there were.

    Raises:
        LandingAreaFull: no room; nothing of it landed.
    """
    if not rejected:
        return 0
    rows = [asdict(item) for item in dict.fromkeys(rejected)]
    batch = _batch("items", source, [f"{row['rule']}\n{row['payload']}" for row in rows])
    if area.has(topic.contract.name, batch):
        return len(rejected)
    with open_engine(spill) as engine:
        names = (*PROBLEM_FIELDS, "payload")
        engine.register(
            "items", pa.table({n: pa.array([r[n] for r in rows], _TEXT) for n in names})
        )
        problem = ", ".join(f"{name}: {name}" for name in PROBLEM_FIELDS)
        land_query(
            engine,
            f"select payload as _payload, {{{problem}}} as {PROBLEM} from items",
            contract=topic.contract,
            source=source,
            batch=batch,
            area=area,
        )
    return len(rejected)


def quarantine_messages(
    source: str,
    topic: Topic,
    contract: Contract,
    rejected: Sequence[Rejected],
    publisher: Publisher,
    spill: Path,
) -> int:
    """Land messages that break the contract in quarantine; how many there were.

    Raises:
        LandingAreaFull: no room; nothing of it landed.
    """
    if not rejected:
        return 0
    texts = [item.payload for item in rejected]
    batch = _batch("messages", source, texts)
    if publisher.area.has(topic.contract.name, batch):
        return len(rejected)
    with open_engine(spill) as engine, publisher.places(keyed(contract, texts)) as placed:
        columns = {
            "number": [str(number) for number in range(1, len(placed) + 1)],
            "partition": [str(one.partition) for one in placed],
            "offset": [str(one.offset) for one in placed],
            "timestamp": [str(publisher.milliseconds)] * len(placed),
            "key": [one.message.key for one in placed],
            "value": [one.message.value for one in placed],
            "present": ["value"] * len(placed),
        }
        nothing = [None] * len(placed)
        engine.register(
            "sent",
            pa.table({n: pa.array(columns.get(n, nothing), _TEXT) for n in MESSAGE_COLUMNS}),
        )
        land_messages(engine, "sent", topic, source=source, batch=batch, area=publisher.area)
    return len(rejected)


def _batch(what: str, source: str, texts: Sequence[str]) -> str:
    """The same rejected things get the same id, so that they land once."""
    digest = hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:24]
    return f"rejected/{source}/{what}-{digest}"
