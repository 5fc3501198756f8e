"""What Snowflake's reference lists: functions, reserved words, types."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


def words(text: str) -> frozenset[str]:
    """The words of a text as a set."""
    return frozenset(text.split())


@cache
def functions() -> frozenset[str]:
    """Names of functions, in lower case."""
    return _words("functions.txt")


@cache
def reserved_words() -> frozenset[str]:
    """Words that name nothing unless quoted, in lower case."""
    return _words("reserved_words.txt")


#: Data types, by https://docs.snowflake.com/en/sql-reference/intro-summary-data-types
TYPES = words(
    """number decimal dec numeric int integer bigint smallint tinyint byteint float float4 float8
    double real varchar char character nchar string text nvarchar nvarchar2 binary varbinary
    boolean date datetime time timestamp timestamp_ltz timestamp_ntz timestamp_tz timestampltz
    timestampntz timestamptz variant object array map geography geometry vector"""
)

#: What to write instead of functions and types that DuckDB has and Snowflake has not.
INSTEAD = {
    "arg_max": "max_by(value, order)",
    "arg_min": "min_by(value, order)",
    "bool_and": "booland_agg(x)",
    "bool_or": "boolor_agg(x)",
    "date_diff": "{{ dbt.datediff(...) }}",
    "date_add": "{{ dbt.dateadd(...) }}",
    "epoch": "the macros of macros/time",
    "epoch_ms": "the macros of macros/time",
    "generate_series": "the macro numbers_below",
    "if": "case when ... then ... else ... end",
    "isnull": "x is null",
    "json_extract_string": "the macro json_text",
    "json_extract": "the macro json_text",
    "list": "array_agg(x) within group (order by ...)",
    "now": "the macro as_of",
    "quantile_cont": "percentile_cont(0.95) within group (order by x)",
    "range": "the macro numbers_below",
    "regexp_extract": "regexp_substr",
    "regexp_full_match": "the macro matches_pattern",
    "regexp_matches": "the macro matches_pattern",
    "str_split": "split(x, ',')",
    "strftime": "a macro that is dispatched by adapter",
    "string_agg": "listagg(x, ',') within group (order by ...)",
    "string_split": "split(x, ',')",
    "strpos": "position(part, x)",
    "strptime": "a macro that is dispatched by adapter",
    "time_bucket": "the macro for the start of a window",
    "today": "the macro as_of",
    "unnest": "the macro json_array_items",
}


def _words(file: str) -> frozenset[str]:
    lines = (_HERE / file).read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())
