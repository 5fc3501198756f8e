"""Statements of the engine that are planned once and run over one table after another.

Planning a check costs more than judging some thousand messages by it. A prepared statement reads
from whatever stands behind its view in the moment of its run: an object that the engine asks for
a stream of Arrow each time.
"""

from __future__ import annotations

import itertools

import duckdb
import pyarrow as pa

#: Rows that the engine takes at a time; several, so that it can use more than one core.
_CHUNK = 10_240
_INVALID_INPUT = "Invalid Input Error"
_numbers = itertools.count()


class Fed:
    """A view of an engine over a table that is exchanged from run to run.

    As a text it is the name of the view.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, schema: pa.Schema) -> None:
        self._connection = connection
        self._schema = schema
        self._table = schema.empty_table()
        self._name = f"fed_{next(_numbers)}"
        connection.register(self._name, self)

    def __str__(self) -> str:
        return self._name

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """What the engine reads: the table that is there now."""
        return self._table.__arrow_c_stream__(requested_schema)

    def prepared(self, query: str) -> Statement:
        """A select over the view, planned when it is first run."""
        return Statement(self._connection, self, query)

    def run(self, name: str, table: pa.Table) -> pa.Table:
        """Run the prepared statement called `name` over a table.

        Raises:
            duckdb.InvalidInputException: some row is not what the statement takes.
        """
        chunks = table.to_batches(max_chunksize=_CHUNK)
        self._table = pa.Table.from_batches(chunks, self._schema)
        try:
            # read while it runs: a result that is kept until it is whole is there twice
            found = self._connection.execute(f"execute {name}")
            return found.to_arrow_reader(max(1, table.num_rows)).read_all()
        except OSError as error:
            # what goes wrong behind the first rows comes as an error of the stream
            if str(error).startswith(_INVALID_INPUT):
                raise duckdb.InvalidInputException(str(error)) from None
            raise
        finally:
            self._table = self._schema.empty_table()


class Statement:
    """A select over a fed view."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, fed: Fed, query: str) -> None:
        self._connection, self._fed, self._query = connection, fed, query
        self._name: str | None = None

    def over(self, table: pa.Table) -> pa.Table:
        """What the select gives where the view shows `table`."""
        if self._name is None:
            name = f"statement_{next(_numbers)}"
            self._connection.execute(f"prepare {name} as {self._query}")
            self._name = name
        return self._fed.run(self._name, table)
