"""Where the stand-in, fakesnow, differs from Snowflake in what dbt and the loader use, mended.

Each function mends one thing, on fakesnow's own functions, for as long as `adapted` runs; nothing
of the package is changed on disk. What is left unlike Snowflake stands in docs/snowflake.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

#: Statements about what the stand-in has not: answered with success, and proven nowhere.
WITHOUT_EFFECT = [r"\s*grant\b", r"\s*revoke\b", r"\s*alter\s+warehouse\b", r"\s*comment\s+on\b"]


@contextmanager
def adapted(stages: Path) -> Iterator[None]:
    """fakesnow with every mend; files of internal stages lie below the folder `stages`."""
    from fakesnow.transforms import stage

    sqlglot_says = logging.getLogger("sqlglot")
    level = sqlglot_says.level
    with suppress(OSError):  # which the package makes when it is imported, and leaves
        Path(stage.LOCAL_BUCKET_PATH).rmdir()
    with ExitStack() as stack:
        sqlglot_says.setLevel(logging.ERROR)  # that it does not know a property; every time
        stack.callback(sqlglot_says.setLevel, level)
        stack.enter_context(patch.object(stage, "LOCAL_BUCKET_PATH", str(stages)))
        for mend in _MENDS:
            stack.enter_context(mend())
        yield


@contextmanager
def _statements() -> Iterator[None]:
    """Temporary tables in a named schema, and the constraint `not null` of a table made of a query.

    DuckDB keeps temporary tables in a catalogue of their own, so here they are tables as any other,
    which dbt drops. The constraint is set once the table is there.
    """
    from fakesnow import transforms
    from fakesnow.cursor import FakeSnowflakeCursor
    from sqlglot import exp

    execute = FakeSnowflakeCursor._execute
    create_as = transforms.create_table_as

    def create_table_as(expression: Any, connection: Any) -> Any:
        if not isinstance(expression, exp.Create):
            return expression
        properties = expression.args.get("properties")
        if properties is not None:
            for one in properties.find_all(exp.TemporaryProperty):
                one.pop()
        required = []
        if isinstance(expression.this, exp.Schema) and expression.expression is not None:
            required = [
                column.name
                for column in expression.this.expressions
                if isinstance(column, exp.ColumnDef) and column.find(exp.NotNullColumnConstraint)
            ]
        expression = create_as(expression, connection)
        expression.args["required_columns"] = required
        return expression

    def _execute(self: Any, transformed: Any, params: Any = None) -> None:
        execute(self, transformed, params)
        required = transformed.args.get("required_columns") or ()
        if required:
            table = transformed.find(exp.Table).sql("duckdb")
            for column in required:
                # on a cursor of its own the table would not be there yet: this one's transaction
                self._duck_conn.execute(f'alter table {table} alter column "{column}" set not null')
            self._duck_conn.execute("select 'Table successfully created.' as status")
            self._arrow_table = self._duck_conn.to_arrow_table()

    with (
        patch.object(transforms, "create_table_as", create_table_as),
        patch.object(FakeSnowflakeCursor, "_execute", _execute),
    ):
        yield


@contextmanager
def _uploads() -> Iterator[None]:
    """PUT on a stage whose name is quoted; COPY of named files of an internal stage."""
    from fakesnow import copy_into, transforms
    from fakesnow.transforms import stage
    from sqlglot import exp

    put_stage, source_urls = transforms.put_stage, copy_into._source_urls

    def unquoted(expression: Any, *rest: Any) -> Any:
        if isinstance(expression, exp.Put):
            target = expression.args["target"]
            target.set("this", str(target.this).strip("'"))
        return put_stage(expression, *rest)

    def urls(source: str, files: list[str]) -> list[str]:
        if stage.is_internal(source):
            return [source + file for file in files]
        return list(source_urls(source, files))

    with (
        patch.object(transforms, "put_stage", unquoted),
        patch.object(copy_into, "_source_urls", urls),
    ):
        yield


@contextmanager
def _merges() -> Iterator[None]:
    """MERGE as DuckDB has it itself."""
    from fakesnow import transforms
    from fakesnow.cursor import FakeSnowflakeCursor
    from sqlglot import exp

    execute = FakeSnowflakeCursor._execute

    def _execute(self: Any, transformed: Any, params: Any = None) -> None:
        execute(self, transformed, params)
        if isinstance(transformed, exp.Merge):
            # a merge cannot be described as a query can, but its result can; clients add up the
            # columns that are called like this
            self._rowcount = self._arrow_table.column(0)[0].as_py()
            self._last_sql = f"select {self._rowcount} as 'number of rows updated'"

    with (
        patch.object(transforms, "merge", lambda expression: [expression]),
        patch.object(FakeSnowflakeCursor, "_execute", _execute),
    ):
        yield


@contextmanager
def _numbers() -> Iterator[None]:
    """Sums of exact numbers stay exact, as on Snowflake, instead of turning into floats."""
    from fakesnow import transforms

    with patch.object(transforms, "numeric_agg_implicit_cast", lambda expression: expression):
        yield


@contextmanager
def _trims() -> Iterator[None]:
    """TRIM of other characters than blanks: fakesnow drops which ones."""
    from fakesnow import transforms
    from sqlglot import exp

    trim = transforms.trim_cast_varchar

    def with_characters(expression: Any) -> Any:
        if isinstance(expression, exp.Trim) and expression.expression:
            return expression
        return trim(expression)

    with patch.object(transforms, "trim_cast_varchar", with_characters):
        yield


@contextmanager
def _kinds() -> Iterator[None]:
    """TYPEOF of a variant is the kind of its JSON, not the type it has in DuckDB."""
    from fakesnow import transforms
    from sqlglot import exp

    semi_structured = transforms.semi_structured_types

    def with_kinds(expression: Any) -> Any:
        if isinstance(expression, exp.Typeof):
            return exp.Anonymous(this="json_type", expressions=[expression.this])
        return semi_structured(expression)

    with patch.object(transforms, "semi_structured_types", with_kinds):
        yield


@contextmanager
def _dollars() -> Iterator[None]:
    """A dollar sign within a text is no session variable; of those nobody here makes use."""
    from fakesnow.cursor import FakeSnowflakeCursor

    with patch.object(FakeSnowflakeCursor, "_inline_variables", lambda _self, sql: sql):
        yield


@contextmanager
def _timestamps() -> Iterator[None]:
    """Null timestamps arrive as null, and results of many batches arrive at all."""
    import pyarrow as pa
    from fakesnow import arrow, server

    convert, to_ipc = arrow.timestamp_to_sf_struct, arrow.to_ipc

    def with_nulls(times: Any) -> Any:
        if isinstance(times, pa.ChunkedArray):
            times = times.combine_chunks()
        if not times.null_count:
            return convert(times)
        missing = times.is_null()
        filled = convert(times.fill_null(0))
        return pa.StructArray.from_arrays(
            [filled.field(i) for i in range(filled.type.num_fields)],
            fields=[filled.type.field(i) for i in range(filled.type.num_fields)],
            mask=missing,
        )

    def in_one_batch(table: Any) -> Any:
        return to_ipc(table.combine_chunks())

    with (
        patch.object(arrow, "timestamp_to_sf_struct", with_nulls),
        patch.object(server, "to_ipc", in_one_batch),
    ):
        yield


@contextmanager
def _failures() -> Iterator[None]:
    """A statement that fails is an SQL error at once, and the session can go on.

    An unexpected exception would be an HTTP 500, which clients retry for minutes. DuckDB keeps a
    transaction in which something failed from doing anything else; Snowflake does not.
    """
    import snowflake.connector.errors as errors
    from fakesnow.cursor import FakeSnowflakeCursor

    def telling(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return function(self, *args, **kwargs)
            except Exception as error:
                with suppress(Exception):
                    self._duck_conn.rollback()
                if isinstance(error, errors.ProgrammingError | errors.OperationalError):
                    raise
                raise errors.ProgrammingError(
                    msg=f"{type(error).__name__}: {error}", errno=1, sqlstate="42000"
                ) from error

        return call

    with (
        patch.object(FakeSnowflakeCursor, "execute", telling(FakeSnowflakeCursor.execute)),
        patch.object(FakeSnowflakeCursor, "_describe_last_sql", telling(_described)),
    ):
        yield


def _described(cursor: Any) -> list[Any]:
    """The columns of a cursor's result, asked of DuckDB as they are."""
    described = cursor._duck_conn.execute(
        f"describe {cursor._last_sql}",
        cursor._last_params or [],
    )
    return list(described.fetchall())


@contextmanager
def _speed() -> Iterator[None]:
    """The same answers, sooner: a statement is parsed once, and rewritten in place.

    fakesnow parses each statement twice, copies it for each of its sixty rewrites, and resolves
    all its names to find out whether a database is needed, which is always chosen here.
    """
    from fakesnow import cursor, dialect, server

    parse: Callable[[str], Any] = dialect.parse_one
    rewrite: Callable[..., Any] = cursor.FakeSnowflakeCursor._transform
    check = cursor.FakeSnowflakeCursor.check_db_and_schema
    parsed: dict[str, Any] = {}

    def parse_first(command: str) -> Any:
        parsed[command] = _without_comments(parse(command))
        return parsed[command]

    def parse_again(command: str) -> Any:
        return parsed.pop(command, None) or _without_comments(parse(command))

    def rewrite_in_place(self: Any, expression: Any, params: Any) -> Any:
        return rewrite(self, _InPlace(expression), params).expression

    def check_where_needed(self: Any, expression: Any) -> None:
        if not (self._conn.database_set and self._conn.schema_set):
            check(self, expression)

    with (
        patch.object(server, "parse_one", parse_first),
        patch.object(cursor, "parse_one", parse_again),
        patch.object(cursor.FakeSnowflakeCursor, "_transform", rewrite_in_place),
        patch.object(cursor.FakeSnowflakeCursor, "check_db_and_schema", check_where_needed),
    ):
        yield


def _without_comments(expression: Any) -> Any:
    """A tree as it is, but for comments, which the generator for DuckDB trips over."""
    for node in expression.walk():
        node.comments = None
    return expression


class _InPlace:
    """A tree whose rewrites change it instead of a copy."""

    def __init__(self, expression: Any) -> None:
        self.expression = expression

    def transform(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> _InPlace:
        return _InPlace(self.expression.transform(function, *args, copy=False, **kwargs))


_MENDS = (
    _statements,
    _uploads,
    _merges,
    _numbers,
    _trims,
    _kinds,
    _dollars,
    _timestamps,
    _failures,
    _speed,
)
