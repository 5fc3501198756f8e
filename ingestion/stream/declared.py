"""The topics that the contracts describe: their names, partitions, copies, settings and schemas."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from ingestion.stream.schemas import TopicSchema, schema_of
from waypoint.contracts.model import Contract, Contracts
from waypoint.errors import UnusableInput

#: How many copies of each partition, instead of what the contracts say.
REPLICATION_VARIABLE = "WAYPOINT_KAFKA_REPLICATION"

_PATTERN = "{topic}"
_CLEANUPS = ("delete", "compact", "compact,delete")


@dataclass(frozen=True)
class Declared:
    """A topic as the contracts have it. `settings` are those that the broker keeps by topic."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]
    schema: TopicSchema


def declared_topics(
    contracts: Contracts, brokers: int, environment: Mapping[str, str] = os.environ
) -> list[Declared]:
    """The topics that the contracts describe, and one for the dead letters of each consumed.

    A topic has as many copies as its contract says, but not more than there are brokers.

    Raises:
        UnusableInput: a contract lacks what it takes to make its topic.
    """
    said = environment.get(REPLICATION_VARIABLE)
    if said is not None and not (said.isdecimal() and int(said) > 0):
        raise UnusableInput(f"{REPLICATION_VARIABLE} is {said!r}, which is no number of copies")

    def declared(contract: Contract, name: str) -> Declared:
        copies = _whole(contract, "replication")
        return Declared(
            name=name,
            partitions=_whole(contract, "partitions"),
            replication=int(said) if said else min(copies, brokers),
            settings=_settings(contract),
            schema=schema_of(contract, name),
        )

    pattern = next((c for c in contracts.topics if _PATTERN in c.name), None)
    found = []
    for contract in contracts.topics:
        if _PATTERN in contract.name:
            continue
        found.append(declared(contract, contract.name))
        if contract.custom.get("deadLetter"):
            if pattern is None:
                raise UnusableInput(
                    f"{contract.path}: has dead letters, and no contract says how their topic is",
                    hint=f"write one whose physicalName holds {_PATTERN}",
                )
            found.append(declared(pattern, dead_letters_of(contract.name, contracts)))
    return sorted(found, key=lambda topic: topic.name)


def dead_letters_of(topic: str, contracts: Contracts) -> str:
    """The name of the topic for the dead letters of `topic`.

    Raises:
        UnusableInput: no contract says how such topics are called.
    """
    for contract in contracts.topics:
        if _PATTERN in contract.name:
            return contract.name.replace(_PATTERN, topic)
    raise UnusableInput(
        "no contract says how the topics of dead letters are called",
        hint=f"write one whose physicalName holds {_PATTERN}",
    )


def _settings(contract: Contract) -> dict[str, str]:
    cleanup = contract.custom.get("cleanup")
    if cleanup not in _CLEANUPS:
        raise UnusableInput(
            f"{contract.path}: its cleanup is {cleanup!r}", hint=f"write {' or '.join(_CLEANUPS)}"
        )
    kept = contract.retention
    milliseconds = -1 if kept is None else round(kept.total_seconds() * 1000)
    found = {"cleanup.policy": str(cleanup), "retention.ms": str(milliseconds)}
    if "largestMessage" in contract.custom:
        found["max.message.bytes"] = str(_whole(contract, "largestMessage"))
    return found


def _whole(contract: Contract, name: str) -> int:
    found = contract.custom.get(name)
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise UnusableInput(
            f"{contract.path}: its {name} is {found!r}, which is no number from 1 on",
            hint=f"write the custom property {name}",
        )
    return found
