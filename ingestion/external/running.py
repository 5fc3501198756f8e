"""The four steps for one entry, one after the other: fetch, transform, validate, publish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ingestion.external.entries import Publishing
from ingestion.external.entry import Entry
from ingestion.external.fetching import Fetched, Request, fetch, plan
from ingestion.external.publishing import DumpFiles, Publisher, batch_of, keyed, partitions_of
from ingestion.external.rejecting import quarantine_items, quarantine_messages
from ingestion.external.transforming import Rejected, Transformed, transform
from ingestion.external.validating import Validated, validate
from ingestion.landing import LandingArea
from ingestion.messages import Topic, topic_of
from waypoint.contracts.model import Contract, Contracts
from waypoint.errors import Exit


@dataclass(frozen=True)
class Target:
    """Where an entry's messages go, and what they have to keep."""

    publishing: Publishing
    topic: Topic
    contract: Contract  # the topic's
    partitions: int
    spill: Path  # a folder for what does not fit into memory

    @classmethod
    def of(cls, publishing: Publishing, contracts: Contracts, spill: Path) -> Target:
        """The topic that external.yml names.

        Raises:
            UnusableInput: it has no contract, or one that does not say where it lands or how many
                partitions it has.
        """
        topic = topic_of(publishing.topic, contracts)
        contract = next(found for found in contracts.topics if found.name == topic.name)
        return cls(publishing, topic, contract, partitions_of(contract), spill)


@dataclass(frozen=True)
class Fetching:
    """What came of one entry: every record is published, repeated or rejected."""

    source: str
    requests: int = 0
    pages: int = 0
    published: int = 0
    repeated: int = 0  # came more than once in this fetch
    rejected: int = 0
    where: str | None = None  # the files, where something was published
    failed: tuple[str, ...] = ()  # requests, in people's words
    hint: str = ""
    exit_code: int = Exit.OK
    missing: tuple[str, ...] = ()  # not fetched: what has to be set before
    messages: tuple[str, ...] = field(default=(), repr=False)  # of a dry run
    rejections: tuple[Rejected, ...] = field(default=(), repr=False)


def run_entry(
    entry: Entry,
    target: Target,
    moment: datetime,
    publisher: Publisher | None,
    *,
    key: str | None = None,
    sandbox: str | None = None,
    report: Callable[[int], None] = lambda _pages: None,
) -> Fetching:
    """Fetch an entry and publish what came; without a publisher nothing is kept.

    Requests that failed are told, and stop nothing else.

    Raises:
        UnusableInput: the entry's key cannot be sent, or the contract cannot be checked.
        Unavailable: nothing can be written to the topic.
    """
    requests = plan(entry, moment)
    fetched = fetch(entry, requests, moment, key=key, sandbox=sandbox, report=report)
    made, judged = make(entry, target, requests, fetched)
    where = None
    if publisher is not None:
        where = publish(target, publisher, fetched, made, judged)
    return told(fetched, made, judged, where, dry_run=publisher is None)


def make(
    entry: Entry, target: Target, requests: list[Request], fetched: Fetched
) -> tuple[Transformed, Validated]:
    """The second and the third step."""
    made = transform(entry, target.publishing, requests, fetched)
    return made, validate(target.topic, made.messages, target.spill)


def publish(
    target: Target,
    publisher: Publisher,
    fetched: Fetched,
    made: Transformed,
    judged: Validated,
) -> str | None:
    """The last step: what is good to the topic, the rest to quarantine; where the good is."""
    source, area = fetched.source, publisher.area
    quarantine_items(source, target.topic, made.rejected, area, target.spill)
    quarantine_messages(
        source, target.topic, target.contract, judged.rejected, publisher, target.spill
    )
    if not judged.messages:
        return None
    batch = batch_of(source, fetched.moment, judged.messages)
    return publisher.publish(batch, keyed(target.contract, judged.messages))


def told(
    fetched: Fetched,
    made: Transformed,
    judged: Validated,
    where: str | None,
    dry_run: bool = False,
) -> Fetching:
    """What came of an entry, counted."""
    rejected = (*made.rejected, *judged.rejected)
    return Fetching(
        source=fetched.source,
        requests=fetched.requests,
        pages=len(fetched.answers),
        published=len(judged.messages),
        repeated=made.repeated,
        rejected=len(rejected),
        where=where,
        failed=tuple(failed.error for failed in fetched.failed),
        hint=next((failed.hint for failed in fetched.failed if failed.hint), ""),
        exit_code=_worst([failed.exit_code for failed in fetched.failed]),
        messages=judged.messages if dry_run else (),
        rejections=rejected if dry_run else (),
    )


def publisher_of(
    target: Target,
    folder: Path,
    area: LandingArea,
    moment: datetime,
    broker: Mapping[str, str] | None = None,
) -> Publisher:
    """The publisher to a broker, by the settings of its clients, else to dump files in `folder`."""
    if broker is not None:
        from ingestion.external.broker import BrokerTopic

        return BrokerTopic(broker, folder, target.topic, target.partitions, area, moment)
    return DumpFiles(folder, target.topic, target.partitions, area, moment)


def _worst(codes: Sequence[int]) -> int:
    """One code for all: all were of one kind, or something in it failed."""
    kinds = set(codes)
    if not kinds:
        return Exit.OK
    return kinds.pop() if len(kinds) == 1 else Exit.FOUND_FAILURES
