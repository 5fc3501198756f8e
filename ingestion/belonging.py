"""SQL that tells whether a row belongs to somebody, from the person keys of a contract.

The ids that are looked for stand in a table with the columns `kind` and `id`. A row belongs to a
person who is named in it; where it names nobody, to the one who has its order, session or what
else of theirs is named. Conditions are never NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from waypoint.contracts.person_keys import PersonKey

#: Tells by a kind and an SQL text whether that is one of the ids that are looked for.
Membership = Callable[[str, str], str]


@dataclass(frozen=True)
class Dialect:
    """How a warehouse writes what is not the same on both."""

    name: str

    def quoted(self, column: str) -> str:
        name = column.upper() if self.name == "snowflake" else column
        return '"' + name.replace('"', '""') + '"'

    def field(self, document: str, path: str) -> str:
        """The text of a field (`a.b`) of a JSON text; NULL where there is none, or no JSON."""
        parts = path.split(".")
        if self.name == "snowflake":
            inner = ".".join(f'"{part}"' for part in parts)
            return f"cast(get_path(try_parse_json({document}), '{inner}') as varchar)"
        inner = ".".join(f'"{part}"' for part in parts)
        is_json = f"case when json_valid({document}) then {document} end"
        return f"json_extract_string({is_json}, '$.{inner}')"

    def named(self, document: str, field: str) -> str:
        """The value after a name in a text that need not be whole JSON; NULL where it is not."""
        pattern = f'"{field}"[[:space:]]*:[[:space:]]*"?([^",}}[:space:]]+)'
        if self.name == "snowflake":
            return f"regexp_substr({document}, '{pattern}', 1, 1, 'e', 1)"
        return f"nullif(regexp_extract({document}, '{pattern}', 1), '')"


DUCKDB = Dialect("duckdb")
SNOWFLAKE = Dialect("snowflake")


def usable(keys: Sequence[PersonKey], columns: Collection[str]) -> list[PersonKey]:
    """The keys whose column is one of `columns`."""
    return [key for key in keys if key.column in columns]


def key_text(key: PersonKey, dialect: Dialect, payload: str | None = None) -> str:
    """The id that a row tells by a key, as SQL text; NULL where it tells none.

    `payload` is a column that holds the row's document: where the column is empty because the
    document could not be taken apart, the id is looked for in its text.
    """
    text = f"cast({dialect.quoted(key.column)} as varchar)"
    if key.path is not None:
        text = dialect.field(text, key.path)
    elif payload is not None and payload != key.column and not key.column.startswith("_"):
        document = f"cast({dialect.quoted(payload)} as varchar)"
        text = f"coalesce({text}, {dialect.named(document, key.column)})"
    if key.when is not None:
        text = f"case when {key.when} then {text} end"
    return text


def in_table(ids: str) -> Membership:
    """Membership in a table of ids."""
    return lambda kind, text: (
        f"coalesce({text} in (select id from {ids} where kind = '{kind}'), false)"
    )


def belongs(
    keys: Sequence[PersonKey],
    root: str,
    is_known: Membership,
    dialect: Dialect = DUCKDB,
    payload: str | None = None,
) -> str:
    """A condition: whether a row belongs to a person whose ids are known.

    Args:
        keys: those that the row's relation has.
        root: the kind of people's own ids.
        is_known: which ids are looked for.
        dialect: of the warehouse that it is for.
        payload: see `key_text`.
    """
    own = [key for key in keys if key.kind == root]
    others = [key for key in keys if key.kind != root]
    named = [is_known(key.kind, key_text(key, dialect, payload)) for key in own]
    theirs = [is_known(key.kind, key_text(key, dialect, payload)) for key in others]
    found = list(named)
    if theirs:
        through = f"({' or '.join(theirs)})"
        stranger = names_somebody_else(own, root, is_known, dialect)
        found.append(f"({through} and not {stranger})" if own else through)
    return f"({' or '.join(found)})" if found else "false"


def names_somebody_else(
    keys: Sequence[PersonKey], root: str, is_known: Membership, dialect: Dialect = DUCKDB
) -> str:
    """A condition: whether a row names a person whose id is not looked for."""
    found = []
    for key in keys:
        if key.kind == root:
            text = key_text(key, dialect)
            said = f"try_cast({text} as bigint)" if key.whole_number else text
            found.append(f"({said} is not null and not {is_known(root, text)})")
    return f"({' or '.join(found)})" if found else "false"
