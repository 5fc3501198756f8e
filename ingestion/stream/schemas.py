"""The schemas that messages are written with: the contracts' own, those before, a registry's."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ingestion.stream.compatibility import avro_problems, json_problems
from ingestion.stream.framing import AvroSchema, Undecodable
from ingestion.stream.registry import AVRO, JSON, Registry, registry_of
from waypoint.contracts.derived import avro, json_schema
from waypoint.contracts.model import Contract
from waypoint.errors import UnusableInput
from waypoint.project import Project

_FORMATS = {"avro": AVRO, "json": JSON}
#: Registries that compare JSON Schemas know this dialect; what ours say means the same in it.
_DIALECT = {"$schema": "http://json-schema.org/draft-07/schema#"}


@dataclass(frozen=True)
class TopicSchema:
    """What a topic's values look like, by its contract, in the format that it names."""

    topic: str
    kind: str  # AVRO or JSON
    document: Mapping[str, Any]

    @property
    def subject(self) -> str:
        """What the registry calls it."""
        return f"{self.topic}-value"

    @property
    def text(self) -> str:
        """What the registry is given."""
        document = {**self.document, **(_DIALECT if self.kind == JSON else {})}
        return json.dumps(document, ensure_ascii=False, sort_keys=True)

    def problems(self, old: Mapping[str, Any]) -> list[str]:
        """Why it cannot follow the schema `old` under the rule BACKWARD."""
        check = avro_problems if self.kind == AVRO else json_problems
        return list(check(old, self.document))


def schema_of(contract: Contract, topic: str | None = None) -> TopicSchema:
    """The schema of the topic that a contract describes; `topic` is its name where that differs.

    Raises:
        UnusableInput: the contract names a format that we do not write.
    """
    named = str(contract.custom.get("format", "json"))
    if named not in _FORMATS:
        raise UnusableInput(
            f"{contract.path}: messages in the format {named!r} are not known",
            hint=f"write {' or '.join(_FORMATS)}",
        )
    kind = _FORMATS[named]
    made = avro.schema(contract) if kind == AVRO else json_schema.schema(contract)
    return TopicSchema(topic or contract.name, kind, made)


@dataclass(frozen=True)
class Kept:
    """The schemas that were published from this state, oldest first, where no registry keeps them.

    One file each: `<folder>/<topic>/<number>.avsc|.schema.json`.
    """

    folder: Path

    @classmethod
    def of(cls, project: Project) -> Kept:
        return cls(project.state / "schemas")

    def newest(self, schema: TopicSchema) -> dict[str, Any] | None:
        """The one that was published last for the topic, in the same format."""
        found = self._files(schema)
        return _read(found[-1]) if found else None

    def keep(self, schema: TopicSchema) -> None:
        """Keep it as the newest."""
        target = self.folder / schema.topic
        target.mkdir(parents=True, exist_ok=True)
        found = self._files(schema)
        number = int(found[-1].name.split(".")[0]) + 1 if found else 1
        temporary = target / f".{os.getpid()}"
        temporary.write_text(json.dumps(schema.document, indent=1, ensure_ascii=False) + "\n")
        os.replace(temporary, target / f"{number:06d}{_ending(schema)}")

    def avro(self) -> list[dict[str, Any]]:
        """All Avro schemas that were ever published from here."""
        return [_read(path) for path in sorted(self.folder.glob(f"*/[0-9]*{avro.ENDING}"))]

    def _files(self, schema: TopicSchema) -> list[Path]:
        return sorted((self.folder / schema.topic).glob(f"[0-9]*{_ending(schema)}"))


@dataclass
class KnownSchemas:
    """Where a reader finds schemas: see `ingestion.stream.framing.SchemaSource`."""

    project: Project
    registry: Registry | None
    _by_id: dict[int, AvroSchema | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, project: Project, environment: Mapping[str, str] = os.environ) -> KnownSchemas:
        """Those of a project, and its registry's where there is one."""
        return cls(project, registry_of(project, environment))

    def by_fingerprint(self, fingerprint: bytes) -> AvroSchema | None:
        """The contracts' own schemas, and those that were published from this state before."""
        return self._by_fingerprint.get(fingerprint)

    @cached_property
    def _by_fingerprint(self) -> dict[bytes, AvroSchema]:
        current = [avro.schema(topic) for topic in self.project.contracts.topics]
        found = [AvroSchema.of(document) for document in Kept.of(self.project).avro() + current]
        return {schema.fingerprint: schema for schema in found}

    def by_id(self, number: int) -> AvroSchema | None:
        """See `SchemaSource`. A schema never changes, so each is asked for once."""
        with self._lock:
            if number not in self._by_id:
                self._by_id[number] = self._asked(number)
            return self._by_id[number]

    def _asked(self, number: int) -> AvroSchema | None:
        if self.registry is None:
            raise Undecodable(
                "schema", f"has the schema id {number}, and no schema registry is configured"
            )
        found = self.registry.schema(number)
        if found is None:
            raise Undecodable("schema", f"the schema registry knows no schema with the id {number}")
        if found.kind == JSON:
            return None
        if found.kind != AVRO:
            raise Undecodable("schema", f"its schema, with the id {number}, is of {found.kind}")
        try:
            return AvroSchema.of(json.loads(found.text))
        except (UnusableInput, ValueError, TypeError) as error:
            raise Undecodable("schema", f"its schema, with the id {number}: {error}") from None


def _ending(schema: TopicSchema) -> str:
    return avro.ENDING if schema.kind == AVRO else json_schema.ENDING


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise UnusableInput(f"{path} is damaged", hint="remove it: it is what was published before")
    return found
