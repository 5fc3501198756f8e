"""The topics on the broker as the contracts have them: what differs, and making it so.

What the contracts say of them is `ingestion.stream.declared`'s to know. Nothing is ever removed:
topics without a contract stay, and partitions only grow, since a message's place is by its key.
Replication is chosen when a topic is made; to change it later is the work of the cluster's own
tools.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ingestion.stream.declared import Declared, declared_topics
from ingestion.stream.reaching import reach
from ingestion.stream.registry import Registry
from ingestion.stream.schemas import Kept, TopicSchema
from waypoint.contracts.model import Contracts
from waypoint.errors import Unavailable, UnusableInput

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

CREATE, GROW, SET, UNSET, REGISTER = "create", "grow", "set", "unset", "register"

_TIMEOUT = 20.0  # seconds
#: Settings that providers add of their own accord.
_PROVIDERS = ("confluent.", "redpanda.", "aiven.")


@dataclass(frozen=True)
class Change:
    """Something that apply would do. `was` is None where there is nothing yet.

    `deletes` says that the broker removes messages on account of it.
    """

    topic: str
    change: str
    setting: str | None
    was: str | None
    becomes: str | None
    deletes: bool = False


@dataclass(frozen=True)
class Left:
    """A difference that apply does not touch, in people's words."""

    topic: str
    problem: str


@dataclass(frozen=True)
class Plan:
    """What differs between the contracts and the broker; all empty where nothing does."""

    topics: int
    changes: tuple[Change, ...]
    left: tuple[Left, ...]
    incompatible: tuple[Left, ...]
    declared: tuple[Declared, ...] = field(repr=False)

    @property
    def is_empty(self) -> bool:
        return not (self.changes or self.left or self.incompatible)


@dataclass(frozen=True)
class _Found:
    """A topic as the broker has it."""

    partitions: int
    replication: int
    settings: Mapping[str, str]  # those that were set for this topic


class Topics:
    """The topics of one broker, and the schemas of a registry or of this state."""

    def __init__(
        self,
        settings: Mapping[str, str],
        contracts: Contracts,
        kept: Kept,
        registry: Registry | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings = settings
        self._contracts = contracts
        self._kept = kept
        self._registry = registry
        self._environment = environment

    @cached_property
    def _client(self) -> AdminClient:
        client, _ = reach(self._settings, _TIMEOUT)
        return client

    def plan(self) -> Plan:
        """What apply would do.

        Raises:
            Unavailable: the broker or the registry does not answer.
            UnusableInput: a contract lacks what it takes to make its topic, or the broker refuses.
        """
        with _told():
            metadata = self._client.list_topics(timeout=_TIMEOUT)
        declared = declared_topics(self._contracts, len(metadata.brokers), self._environment)
        names = [topic.name for topic in declared if topic.name in metadata.topics]
        settings = self._described(names)
        changes: list[Change] = []
        left: list[Left] = []
        incompatible: list[Left] = []
        for topic in declared:
            if topic.name in settings:
                partitions = metadata.topics[topic.name].partitions.values()
                copies = min((len(one.replicas) for one in partitions), default=0)
                found = _Found(len(partitions), copies, settings[topic.name])
                changes += _drift(topic, found)
                left += _not_ours(topic, found)
            else:
                changes.append(Change(topic.name, CREATE, None, None, _summary(topic)))
            change, problems = self._schema(topic.schema)
            changes += [change] if change else []
            incompatible += [Left(topic.name, problem) for problem in problems]
        return Plan(
            len(declared), tuple(changes), tuple(left), tuple(incompatible), tuple(declared)
        )

    def apply(self, plan: Plan) -> None:
        """Do what the plan says, and wait until it is so.

        Schemas come first: nobody can write to a topic what its readers have no schema for.

        Raises:
            UnusableInput: schemas are not compatible, nothing was done; or the broker refuses.
            Unavailable: the broker or the registry does not answer; the rest is planned again.
        """
        if plan.incompatible:
            first = plan.incompatible[0]
            raise UnusableInput(
                f"{len(plan.incompatible)} changes of schemas break readers, nothing was done; "
                f"{first.topic}: {first.problem}",
                hint="add fields that are not required, or give the new version a topic of its own",
            )
        declared = {topic.name: topic for topic in plan.declared}
        by_kind: dict[str, list[Change]] = {}
        for change in plan.changes:
            by_kind.setdefault(change.change, []).append(change)
        for change in by_kind.get(REGISTER, []):
            self._publish(declared[change.topic].schema)
        self._create([declared[change.topic] for change in by_kind.get(CREATE, [])])
        self._grow([declared[change.topic] for change in by_kind.get(GROW, [])])
        self._alter([*by_kind.get(SET, []), *by_kind.get(UNSET, [])])

    # schemas

    def _schema(self, schema: TopicSchema) -> tuple[Change | None, list[str]]:
        """The change, and why it must not be."""
        if self._registry is None:
            old = self._kept.newest(schema)
            if old == schema.document:
                return None, []
            problems = schema.problems(old) if old else []
        else:
            if self._registry.number(schema.subject, schema.kind, schema.text) is not None:
                return None, []
            newest = self._registry.newest(schema.subject)
            comparable = newest is not None and newest.kind == schema.kind
            # our words say more; the registry has the last one
            problems = schema.problems(json.loads(newest.text)) if newest and comparable else []
            problems = problems or self._registry.problems(schema.subject, schema.kind, schema.text)
        return Change(schema.topic, REGISTER, schema.subject, None, schema.kind), problems

    def _publish(self, schema: TopicSchema) -> None:
        if self._registry is not None:
            self._registry.register(schema.subject, schema.kind, schema.text)
        if self._kept.newest(schema) != schema.document:
            self._kept.keep(schema)

    # the broker

    def _described(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """What was set for each topic: what the broker has by itself is no one's drift."""
        if not names:
            return {}
        from confluent_kafka.admin._config import ConfigResource, ConfigSource
        from confluent_kafka.admin._resource import ResourceType

        asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        with _told():
            answers = self._client.describe_configs(asked, request_timeout=_TIMEOUT)
            return {
                resource.name: {
                    entry.name: entry.value
                    for entry in answer.result(_TIMEOUT).values()
                    if ConfigSource(entry.source) is ConfigSource.DYNAMIC_TOPIC_CONFIG
                }
                for resource, answer in answers.items()
            }

    def _create(self, topics: Sequence[Declared]) -> None:
        if not topics:
            return
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.cimpl import NewTopic

        wanted = [
            NewTopic(topic.name, topic.partitions, topic.replication, config=dict(topic.settings))
            for topic in topics
        ]
        made = self._client.create_topics(
            wanted, operation_timeout=_TIMEOUT, request_timeout=2 * _TIMEOUT
        )
        for name, answer in made.items():
            with _told(name):
                try:
                    answer.result(2 * _TIMEOUT)
                except KafkaException as error:
                    # somebody else was first: the next plan tells what differs
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                        raise

    def _grow(self, topics: Sequence[Declared]) -> None:
        if not topics:
            return
        from confluent_kafka.cimpl import NewPartitions

        wanted = [NewPartitions(topic.name, topic.partitions) for topic in topics]
        made = self._client.create_partitions(
            wanted, operation_timeout=_TIMEOUT, request_timeout=2 * _TIMEOUT
        )
        for name, answer in made.items():
            with _told(name):
                answer.result(2 * _TIMEOUT)

    def _alter(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
        from confluent_kafka.admin._resource import ResourceType

        by_topic: dict[str, list[Any]] = {}
        for change in changes:
            kind = AlterConfigOpType.SET if change.change == SET else AlterConfigOpType.DELETE
            entry = ConfigEntry(
                str(change.setting), change.becomes or "", incremental_operation=kind
            )
            by_topic.setdefault(change.topic, []).append(entry)
        asked = [
            ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
            for name, entries in by_topic.items()
        ]
        answers = self._client.incremental_alter_configs(asked, request_timeout=_TIMEOUT)
        for resource, answer in answers.items():
            with _told(resource.name):
                answer.result(2 * _TIMEOUT)


def _drift(topic: Declared, found: _Found) -> Iterator[Change]:
    if found.partitions < topic.partitions:
        yield Change(topic.name, GROW, "partitions", str(found.partitions), str(topic.partitions))
    for name, wanted in topic.settings.items():
        was = found.settings.get(name)
        if was != wanted:
            yield Change(topic.name, SET, name, was, wanted, _deletes(name, was, wanted))
    for name, was in found.settings.items():
        if name not in topic.settings and not name.startswith(_PROVIDERS):
            yield Change(topic.name, UNSET, name, was, None)


def _deletes(name: str, was: str | None, wanted: str) -> bool:
    """Whether the broker removes messages that it would have kept."""
    if name == "cleanup.policy":
        return True
    if name != "retention.ms" or int(wanted) < 0:
        return False
    return was is None or int(was) < 0 or int(wanted) < int(was)


def _not_ours(topic: Declared, found: _Found) -> Iterator[Left]:
    if found.partitions > topic.partitions:
        problem = f"has {found.partitions} partitions, its contract says {topic.partitions}"
        yield Left(topic.name, f"{problem}: partitions only grow, so raise the contract")
    if found.replication < topic.replication:
        problem = f"keeps {found.replication} of the {topic.replication} copies that it should"
        yield Left(topic.name, f"{problem}: reassign its partitions by the cluster's own tool")


def _summary(topic: Declared) -> str:
    settings = ", ".join(f"{name}={value}" for name, value in topic.settings.items())
    return f"{topic.partitions} partitions × {topic.replication}, {settings}"


@contextmanager
def _told(topic: str | None = None) -> Iterator[None]:
    """What the client says, in words that can be acted on."""
    from confluent_kafka import KafkaError, KafkaException

    try:
        yield
    except KafkaException as error:
        said = error.args[0]
        words = said.str() if isinstance(said, KafkaError) else str(error)
        if isinstance(said, KafkaError) and topic and not said.retriable() and said.code() > 0:
            raise UnusableInput(f"{topic}: the broker refuses: {words}") from None
        raise Unavailable(
            f"the broker does not answer: {words}", hint="waypoint services status"
        ) from None
    except TimeoutError:
        raise Unavailable("the broker does not answer", hint="waypoint services status") from None
