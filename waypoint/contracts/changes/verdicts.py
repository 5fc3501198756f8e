"""Every kind of change that a contract can undergo, and whom it breaks.

Two views decide. Readers rely on what a table promises: whatever loosens a promise, moves or
retypes what they read, breaks them. Producers have to meet it: whatever narrows what a column may
hold breaks those who write it, because rows that were good yesterday are refused or fail the build
tomorrow. `docs/contract-changes.md` shows the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Audience(StrEnum):
    """Kinds of consumers, and those who write what they consume."""

    MODELS = "models"
    DASHBOARDS = "dashboards"  # and notebooks, applications: whatever people look at
    ML = "ML features and models"
    TOPIC_CONSUMERS = "topic consumers"
    ROLES = "roles"  # people with a right to query the table itself
    PRODUCERS = "producers"


class Kind(StrEnum):
    """What happened to a contract, in words."""

    CONTRACT_ADDED = "contract added"
    CONTRACT_REMOVED = "contract removed"
    CONTRACT_MOVED = "contract moved"
    CONTRACT_MENDED = "contract mended"
    VERSION_ADDED = "version added"
    VERSION_REMOVED = "version removed"
    VERSION_REMOVED_IN_TIME = "version removed after its date"
    TABLE_ADDED = "table added"
    TABLE_REMOVED = "table removed"

    COLUMN_ADDED = "column added"
    REQUIRED_COLUMN_ADDED = "required column added"
    COLUMN_DROPPED = "column dropped"
    COLUMN_RENAMED = "column renamed"
    COLUMN_RETYPED = "column retyped"
    TYPE_NARROWED = "type narrowed"
    TYPE_WIDENED = "type widened"
    UNIT_CHANGED = "unit changed"
    DESCRIPTION_CHANGED = "description changed"

    KEY_ADDED = "key added"
    KEY_DROPPED = "key dropped"
    KEY_CHANGED = "key changed"
    KEY_REORDERED = "key reordered"
    REQUIRED = "newly required"
    NO_LONGER_REQUIRED = "no longer required"
    UNIQUE = "newly unique"
    NO_LONGER_UNIQUE = "no longer unique"
    VALUES_CLOSED = "allowed values listed"
    VALUES_OPENED = "allowed values no longer listed"
    VALUES_NARROWED = "allowed values narrowed"
    VALUES_WIDENED = "allowed values widened"
    VALUES_CHANGED = "allowed values changed"
    RANGE_NARROWED = "range narrowed"
    RANGE_WIDENED = "range widened"
    RANGE_CHANGED = "range changed"
    PATTERN_ADDED = "pattern added"
    PATTERN_DROPPED = "pattern dropped"
    PATTERN_CHANGED = "pattern changed"
    REFERENCE_ADDED = "reference added"
    REFERENCE_DROPPED = "reference dropped"
    REFERENCE_CHANGED = "reference changed"

    RULE_ADDED = "rule added"
    RULE_DROPPED = "rule dropped"
    RULE_CHANGED = "rule changed"
    RULE_SOFTENED = "rule only warns"
    RULE_HARDENED = "rule fails"
    WARNING_ADDED = "warning added"
    WARNING_DROPPED = "warning dropped"

    FRESHNESS_LOOSENED = "freshness loosened"
    FRESHNESS_TIGHTENED = "freshness tightened"
    FRESHNESS_MEASURED_ELSEWHERE = "freshness measured elsewhere"
    WARN_LEVEL_CHANGED = "warn level changed"
    RETENTION_SHORTENED = "retention shortened"
    RETENTION_LENGTHENED = "retention lengthened"
    SERVICE_LEVEL_LOOSENED = "service level loosened"
    SERVICE_LEVEL_TIGHTENED = "service level tightened"
    SERVICE_LEVEL_CHANGED = "service level changed"
    END_OF_LIFE_SET = "end of life set"
    END_OF_LIFE_LATER = "end of life later"
    END_OF_LIFE_EARLIER = "end of life earlier"

    CLASSIFICATION_TIGHTENED = "classification tightened"
    CLASSIFICATION_LOOSENED = "classification loosened"
    ROLE_ADDED = "role added"
    ROLE_REMOVED = "role removed"
    ROLE_NARROWED = "role narrowed"
    ROLE_WIDENED = "role widened"
    ROLE_CHANGED = "role changed"

    GRAIN_CHANGED = "grain changed"
    GRAIN_REWORDED = "grain reworded"
    OWNER_CHANGED = "owner changed"
    PHYSICAL_NAME_CHANGED = "physical name changed"
    NAMED_BY_VERSION = "named by its version"
    SERVER_ADDED = "server added"
    SERVER_MOVED = "server moved"
    TOPIC_KEY_CHANGED = "topic key changed"
    TOPIC_FORMAT_CHANGED = "topic format changed"
    TOPIC_CLEANUP_CHANGED = "topic cleanup changed"
    TOPIC_PARTITIONS_CHANGED = "topic partitions changed"
    TOPIC_LANDS_ELSEWHERE = "topic lands elsewhere"
    SETTING_CHANGED = "setting changed"
    DEPRECATED = "deprecated"
    RETIRED = "retired"
    PROMISE_WITHDRAWN = "promise withdrawn"
    STATUS_CHANGED = "status changed"
    VERSION_RAISED = "version raised"
    VERSION_LOWERED = "version lowered"
    ANNOTATION_CHANGED = "annotation changed"


@dataclass(frozen=True)
class Verdict:
    """Whom a kind of change breaks: where the table is built here, and where others write it.

    Others write raw tables and topics. `look` says that no rule can tell how much the change means,
    so that a person should look at it.
    """

    built: frozenset[Audience] = frozenset()
    written: frozenset[Audience] = frozenset()
    look: bool = False

    def breaks(self, written_by_others: bool) -> frozenset[Audience]:
        return self.written if written_by_others else self.built


_READERS = frozenset(Audience) - {Audience.PRODUCERS}
_PRODUCERS = frozenset({Audience.PRODUCERS})
_EVERYBODY = frozenset(Audience)
# who has types, encodings or schemas of the values, rather than eyes to look at them
_PROGRAMS = frozenset({Audience.MODELS, Audience.ML, Audience.TOPIC_CONSUMERS})
# who connects to the place where the table is, rather than being built beside it
_CONNECTED = _EVERYBODY - {Audience.MODELS}

_HARMLESS = Verdict()
_LOOK = Verdict(look=True)


def _for(audiences: frozenset[Audience]) -> Verdict:
    return Verdict(built=audiences, written=audiences)


_BREAKS_READERS = _for(_READERS)
_BREAKS_PRODUCERS = _for(_PRODUCERS)
_BREAKS_EVERYBODY = _for(_EVERYBODY)
#: The model that builds a table changes in the same pull request; those who send data do not.
_BREAKS_READERS_AND_SENDERS = Verdict(built=_READERS, written=_EVERYBODY)
_BREAKS_SENDERS = Verdict(written=_PRODUCERS)

VERDICTS: dict[Kind, Verdict] = {
    Kind.CONTRACT_REMOVED: _BREAKS_READERS_AND_SENDERS,
    Kind.CONTRACT_MOVED: _BREAKS_READERS_AND_SENDERS,
    Kind.VERSION_REMOVED: _BREAKS_READERS_AND_SENDERS,
    Kind.TABLE_REMOVED: _BREAKS_READERS_AND_SENDERS,
    Kind.REQUIRED_COLUMN_ADDED: _BREAKS_SENDERS,
    Kind.COLUMN_DROPPED: _BREAKS_READERS,
    Kind.COLUMN_RENAMED: _BREAKS_READERS_AND_SENDERS,
    Kind.COLUMN_RETYPED: _BREAKS_READERS_AND_SENDERS,
    Kind.TYPE_NARROWED: _BREAKS_EVERYBODY,
    Kind.TYPE_WIDENED: _for(_PROGRAMS),
    Kind.UNIT_CHANGED: _BREAKS_READERS_AND_SENDERS,
    Kind.KEY_ADDED: _BREAKS_PRODUCERS,
    Kind.KEY_DROPPED: _BREAKS_READERS,
    Kind.KEY_CHANGED: _BREAKS_READERS_AND_SENDERS,
    Kind.REQUIRED: _BREAKS_PRODUCERS,
    Kind.NO_LONGER_REQUIRED: _BREAKS_READERS,
    Kind.UNIQUE: _BREAKS_PRODUCERS,
    Kind.NO_LONGER_UNIQUE: _BREAKS_READERS,
    Kind.VALUES_CLOSED: _BREAKS_PRODUCERS,
    Kind.VALUES_OPENED: _BREAKS_READERS,
    # filters and cases on a value that is gone find nothing, without an error
    Kind.VALUES_NARROWED: _BREAKS_EVERYBODY,
    Kind.VALUES_WIDENED: _BREAKS_READERS,
    Kind.VALUES_CHANGED: _BREAKS_EVERYBODY,
    Kind.RANGE_NARROWED: _BREAKS_PRODUCERS,
    Kind.RANGE_WIDENED: _BREAKS_READERS,
    Kind.RANGE_CHANGED: _BREAKS_EVERYBODY,
    Kind.PATTERN_ADDED: _BREAKS_PRODUCERS,
    Kind.PATTERN_DROPPED: _BREAKS_READERS,
    Kind.PATTERN_CHANGED: _BREAKS_EVERYBODY,
    Kind.REFERENCE_ADDED: _BREAKS_PRODUCERS,
    Kind.REFERENCE_DROPPED: _BREAKS_READERS,
    Kind.REFERENCE_CHANGED: _BREAKS_EVERYBODY,
    Kind.RULE_ADDED: _BREAKS_SENDERS,
    Kind.RULE_DROPPED: _BREAKS_READERS,
    Kind.RULE_CHANGED: _LOOK,
    Kind.RULE_SOFTENED: _BREAKS_READERS,
    Kind.RULE_HARDENED: _BREAKS_SENDERS,
    Kind.FRESHNESS_LOOSENED: _BREAKS_READERS,
    Kind.FRESHNESS_MEASURED_ELSEWHERE: _BREAKS_READERS,
    Kind.RETENTION_SHORTENED: _BREAKS_READERS,
    Kind.SERVICE_LEVEL_LOOSENED: _BREAKS_READERS,
    Kind.SERVICE_LEVEL_CHANGED: _BREAKS_READERS,
    Kind.END_OF_LIFE_EARLIER: _BREAKS_READERS_AND_SENDERS,
    Kind.CLASSIFICATION_TIGHTENED: _BREAKS_READERS,
    Kind.CLASSIFICATION_LOOSENED: _LOOK,
    Kind.ROLE_REMOVED: _for(frozenset({Audience.ROLES})),
    Kind.ROLE_NARROWED: _for(frozenset({Audience.ROLES})),
    Kind.GRAIN_CHANGED: _BREAKS_READERS,
    Kind.GRAIN_REWORDED: _LOOK,
    Kind.PHYSICAL_NAME_CHANGED: _BREAKS_READERS_AND_SENDERS,
    Kind.SERVER_MOVED: _for(_CONNECTED),
    Kind.TOPIC_KEY_CHANGED: _for(frozenset({Audience.TOPIC_CONSUMERS, Audience.PRODUCERS})),
    Kind.TOPIC_FORMAT_CHANGED: _for(frozenset({Audience.TOPIC_CONSUMERS, Audience.PRODUCERS})),
    Kind.TOPIC_CLEANUP_CHANGED: _for(frozenset({Audience.TOPIC_CONSUMERS})),
    Kind.TOPIC_PARTITIONS_CHANGED: _for(frozenset({Audience.TOPIC_CONSUMERS})),
    Kind.TOPIC_LANDS_ELSEWHERE: _for(_READERS - {Audience.TOPIC_CONSUMERS}),
    Kind.RETIRED: _BREAKS_READERS_AND_SENDERS,
    Kind.PROMISE_WITHDRAWN: _BREAKS_READERS,
    Kind.VERSION_LOWERED: _LOOK,
    Kind.CONTRACT_MENDED: _LOOK,
}


def verdict(kind: Kind) -> Verdict:
    """Whom a kind of change breaks; nobody, unless the table above says so."""
    return VERDICTS.get(kind, _HARMLESS)
