"""A topic's messages taken apart in the engine: their place, their value's columns, their faults.

All is SQL that is derived from the contracts; each value is parsed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from ingestion.engine import text_literal
from ingestion.validation import KEPT, PROBLEM, document_type

if TYPE_CHECKING:
    from ingestion.messages import Topic

#: What a message's table holds, all of it text: `number` its place in the file, `mark` what was
#: wrong with it before it could be taken apart (NULL: nothing), `line` what stood there (or NULL),
#: `present` is NULL where there was no value at all, not even null.
MESSAGE_COLUMNS = (
    "number",
    "mark",
    "line",
    "topic",
    "partition",
    "offset",
    "timestamp",
    "key",
    "value",
    "present",
)
#: The longest message, in bytes, that fits into a column of either warehouse.
LONGEST_MESSAGE = 16_000_000


def take_apart(connection: duckdb.DuckDBPyConnection, messages: str, topic: Topic) -> None:
    """Make the table `taken_apart` of the messages, their values parsed once each."""
    statement = "create or replace temp table taken_apart as "
    try:
        connection.execute(statement + _exported(messages, topic, guarded=False))
    except duckdb.InvalidInputException:
        # some value is broken JSON, which one pays for only then
        connection.execute(statement + _exported(messages, topic, guarded=True))


def _exported(messages: str, topic: Topic, guarded: bool) -> str:
    """A select that takes messages apart of which all is text."""
    whole = "cast(try_cast({0} as {1}) as varchar) = {0} and {0} not like '-%'"
    # another topic's offsets are none of this one's
    ours = f"coalesce(topic = {text_literal(topic.name)}, true)"
    return f"""
        with typed as (
            select
                *,
                case when {ours} and {whole.format('"partition"', "integer")}
                    then try_cast("partition" as integer) end as _partition,
                case when {ours} and {whole.format('"offset"', "bigint")}
                    then try_cast("offset" as bigint) end as _offset,
                case
                    when try_cast("timestamp" as bigint) between {_TIMES}
                        then make_timestamp(try_cast("timestamp" as bigint) * 1000)
                    else timezone('UTC', try_cast("timestamp" as timestamptz))
                end as _kafka_timestamp,
                {_readable(guarded)} as readable
            from {messages}
        )
        select
            cast(number as bigint) as _line,
            _partition,
            _offset,
            _kafka_timestamp,
            key as _key,
            -- where the fault is not in the value, what stood around it is the evidence
            case when {_unplaced(topic)} then coalesce(line, value) else value end as _payload,
            {_problem(topic)} as {PROBLEM},
            {_document(topic)} as document
        from typed
    """


def consumed(messages: str, topic: Topic, guarded: bool) -> str:
    """A select that takes messages apart as they come from a broker, which places them itself.

    `messages` has the columns `partition` (integer), `offset`, `timestamp` (milliseconds since
    1970, or NULL; both bigint), and the texts `key`, `value` and `mark`. With `guarded`, values
    may be any broken JSON; without, which costs less, the engine raises `InvalidInputException`
    where one is that ends like an object. A column `document` holds what the contract knows of the
    value.
    """
    return f"""
        select
            "partition" as _partition,
            "offset" as _offset,
            _kafka_timestamp,
            key as _key,
            value as _payload,
            {_problem(topic, placed=True)} as {PROBLEM},
            {_document(topic)} as document
        from (
            select
                *,
                case when "timestamp" between {_TIMES}
                    then make_timestamp("timestamp" * 1000) end as _kafka_timestamp,
                mark is null and {_readable(guarded)} as readable
            from {messages}
        )
    """


#: What a message's time lies between: the years 1 to 9999, in milliseconds since 1970.
_TIMES = "-62135596800000 and 253402300799999"


def _readable(guarded: bool) -> str:
    # what was cut off, or is no JSON at all, seldom ends like an object
    valid = "json_valid(value)"
    sound = valid if guarded else f"case when ends_with(value, '}}') then true else {valid} end"
    is_json = f"{starts_an_object('value')} and {sound}"
    return f"coalesce(strlen(value) <= {LONGEST_MESSAGE} and {is_json}, false)"


def _document(topic: Topic) -> str:
    return f"json_transform(case when readable then value end, {document_type(topic.contract)})"


def starts_an_object(text: str) -> str:
    """A condition: whether a text begins like a JSON object. Trimming is slow and seldom needed."""
    return (
        f"case when starts_with({text}, '{{') then true"
        f" else starts_with(ltrim({text}, e' \\t\\r\\n'), '{{') end"
    )


def _unplaced(topic: Topic) -> str:
    """Whether something is wrong with what stands around a message's value."""
    return (
        f"mark is not null or coalesce(topic <> {text_literal(topic.name)}, false)"
        " or _partition is null or _offset is null or _kafka_timestamp is null"
        " or (value is null and present is null)"
    )


#: What only those check who have been told of a message's place by somebody else than a broker.
_OF_THE_PLACE = (
    "message_is_of_the_topic",
    "partition_is_integer",
    "offset_is_integer",
    "value_is_there",
)


def _problem(topic: Topic, placed: bool = False) -> str:
    """What is wrong with a message, as a struct or NULL: the first of these that holds.

    `placed` tells that its topic, partition and offset are known to be right.
    """
    whole = text_literal("is not a whole number from 0")
    fit = text_literal(f" bytes; at most {LONGEST_MESSAGE:,} fit into a column")
    cases = (
        # condition, field, value, rule, reason
        (
            "mark is not null",
            "",
            "null",
            "value_is_readable" if placed else "message_is_readable",
            "mark",
        ),
        (
            f"topic <> {text_literal(topic.name)}",
            "topic",
            "topic",
            "message_is_of_the_topic",
            f"'is not ' || {text_literal(topic.name)}",
        ),
        ("_partition is null", "partition", '"partition"', "partition_is_integer", whole),
        ("_offset is null", "offset", '"offset"', "offset_is_integer", whole),
        (
            '_kafka_timestamp is null and "timestamp" is not null',
            "timestamp",
            '"timestamp"',
            "timestamp_is_timestamp",
            "'is neither milliseconds since 1970 nor an ISO 8601 time'",
        ),
        ("value is null and present is null", "value", "null", "value_is_there", "'is missing'"),
        (
            "false" if topic.tombstones else "value is null",
            "value",
            "null",
            "tombstone",
            text_literal(f"a tombstone, which {topic.contract.name} has no place for"),
        ),
        (
            f"strlen(value) > {LONGEST_MESSAGE}",
            "value",
            "value",
            "message_fits",
            f"'has ' || strlen(value) || {fit}",
        ),
        (
            "value is not null and not readable",
            "value",
            "value",
            "message_is_an_object",
            "'is not a JSON object'",
        ),
    )
    found = [
        f"when {condition} then {{field: {text_literal(field) if field else 'null'},"
        f" value: left(cast({value} as varchar), {KEPT}), rule: {text_literal(rule)},"
        f" reason: {text_literal(f'{field}: ' if field else '')} || {reason}}}"
        for condition, field, value, rule, reason in cases
        if not (placed and rule in _OF_THE_PLACE)
    ]
    return f"case {' '.join(found)} end"
