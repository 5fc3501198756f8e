"""Views of a DuckDB file that can be read whatever name the file has or is attached under."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import duckdb

#: A view's statement: what stands before its query, names in double quotes included, and that.
_STATEMENT = re.compile(r"""CREATE VIEW ((?:[^"]|"(?:[^"]|"")*")*? AS )(.*?);?\s*""", re.S)


def name_no_catalog(path: Path, catalog: str) -> None:
    """Make the views in the file at `path`, which say `catalog` for it, name schemas only.

    Within a view, DuckDB looks for a schema in the view's own file first. Comments stay. A view
    that DuckDB can run but not take apart is left as it is.

    Raises:
        duckdb.Error: the file cannot be written.
    """
    with duckdb.connect() as connection:
        # under the name that the views say, so that they can be read meanwhile
        connection.execute(f"attach {_text(str(path))} as {_name(catalog)}")
        connection.execute(f"use {_name(catalog)}")
        views = connection.execute(
            "select schema_name, view_name, sql, comment from duckdb_views()"
            " where not internal and database_name = ? and contains(sql, ?)",
            [catalog, catalog],
        ).fetchall()
        for schema, view, sql, comment in views:
            statement = without_catalog(connection, sql, catalog)
            if statement is None:
                continue
            name = f"{_name(schema)}.{_name(view)}"
            comments = connection.execute(
                "select column_name, comment from duckdb_columns() where database_name = ?"
                " and schema_name = ? and table_name = ? and comment is not null",
                [catalog, schema, view],
            ).fetchall()
            connection.execute(statement)
            if comment is not None:
                connection.execute(f"comment on view {name} is {_text(comment)}")
            for column, words in comments:
                connection.execute(f"comment on column {name}.{_name(column)} is {_text(words)}")
        connection.execute("use memory")
        connection.execute(f"detach {_name(catalog)}")


def without_catalog(connection: duckdb.DuckDBPyConnection, sql: str, catalog: str) -> str | None:
    """The statement that makes a view anew, naming schemas only, from the one that made it.

    None where its query cannot be taken apart.
    """
    found = _STATEMENT.fullmatch(sql)
    if found is None:
        return None
    before, query = found.groups()
    # DuckDB's own parser: a text or an alias that reads like the catalog is none
    ((serialized,),) = connection.execute("select json_serialize_sql(?)", [query]).fetchall()
    tree = json.loads(serialized)
    if tree["error"]:
        return None
    ((query,),) = connection.execute(
        "select json_deserialize_sql(?)", [json.dumps(_bare(tree, catalog))]
    ).fetchall()
    return f"create or replace view {before}{query}"


def _bare(node: Any, catalog: str) -> Any:
    """A parsed query in which no table and no column names the catalog."""
    if isinstance(node, list):
        return [_bare(item, catalog) for item in node]
    if not isinstance(node, dict):
        return node
    bare = {key: _bare(value, catalog) for key, value in node.items()}
    if bare.get("catalog_name") == catalog:
        bare["catalog_name"] = ""
    names = bare.get("column_names")
    # catalog.schema.table.column
    if isinstance(names, list) and len(names) >= 4 and names[0] == catalog:
        bare["column_names"] = names[1:]
    return bare


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
