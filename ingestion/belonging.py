"""SQL that tells whether a row belongs to somebody, from the person keys of a contract.

The ids that are looked for stand in a table with the columns `kind` and `id`. A row belongs to a
person who is named in it; where it names nobody, to the one who has its order, session or what
else of theirs is named. Conditions are never NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
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
        if self.name == "snowflake":
            inner = ".".join(f'"{part}"' for part in path.split("."))
            return f"cast(get_path(try_parse_json({document}), '{inner}') as varchar)"
        return f"json_extract_string({valid_json(document)}, {_json_path(path)})"

    def named(self, document: str, field: str) -> str:
        """The value after a name in a text that need not be whole JSON; NULL where it is not."""
        pattern = f'"{field}"[[:space:]]*:[[:space:]]*"?([^",}}[:space:]]+)'
        if self.name == "snowflake":
            return f"regexp_substr({document}, '{pattern}', 1, 1, 'e', 1)"
        return f"nullif(regexp_extract({document}, '{pattern}', 1), '')"


DUCKDB = Dialect("duckdb")
SNOWFLAKE = Dialect("snowflake")


def valid_json(document: str) -> str:
    """A JSON text for DuckDB, which raises where one is broken; NULL for broken ones."""
    return f"case when json_valid({document}) then {document} end"


def fields(document: str, paths: Iterable[str]) -> str:
    """The texts of several fields as a list, for DuckDB: a document is taken apart once.

    Each expression of its own would hold the documents of a whole vector in memory, apart.
    """
    listed = ", ".join(_json_path(path) for path in paths)
    return f"json_extract_string({valid_json(document)}, [{listed}])"


def _json_path(path: str) -> str:
    return "'$." + ".".join(f'"{part}"' for part in path.split(".")) + "'"


@dataclass(frozen=True)
class Told:
    """An id of a kind that rows tell, as an SQL text; NULL where a row tells none."""

    key: PersonKey
    text: str

    @property
    def kind(self) -> str:
        return self.key.kind


@dataclass(frozen=True)
class Readable:
    """Rows made ready: what they tell, and the columns that were added for it.

    `hint` is a condition that holds for every row that tells a sought id, and is cheap.
    """

    relation: str
    told: tuple[Told, ...]
    added: tuple[str, ...] = ()
    hint: str | None = None

    def where(self, condition: str) -> str:
        """A condition that is looked at only where the hint holds."""
        return f"case when {self.hint} then {condition} else false end" if self.hint else condition


def usable(keys: Sequence[PersonKey], columns: Collection[str]) -> list[PersonKey]:
    """The keys whose column is one of `columns`."""
    return [key for key in keys if key.column in columns]


def readable(
    relation: str,
    keys: Sequence[PersonKey],
    dialect: Dialect,
    payload: str | None = None,
    pattern: str | None = None,
) -> Readable:
    """A relation whose rows tell ids by `keys`.

    `pattern` is an SQL text, a regular expression that every text with a sought id fits: on DuckDB
    documents of other rows are not taken apart.
    `payload` is a column that holds the row's document: where a column is empty because the
    document could not be taken apart, the id is looked for in its text.
    """
    if dialect.name == "snowflake" or pattern is not None:
        hint = f"regexp_matches({_whole(keys, dialect)}, {pattern})" if pattern else None
        told_by = tuple(Told(key, _text(key, dialect, payload)) for key in keys)
        return Readable(relation, told_by, hint=hint)
    documents = dict.fromkeys(key.column for key in keys if key.path is not None)
    items, told = [], []
    for number, column in enumerate(documents):
        inside = [key for key in keys if key.column == column and key.path is not None]
        paths = list(dict.fromkeys(key.path for key in inside if key.path))
        name = f"_fields_{number}"
        text = fields(f"cast({dialect.quoted(column)} as varchar)", paths)
        whens = [key.when for key in inside]
        if all(whens):
            text = (
                f"case when {' or '.join(f'({w})' for w in dict.fromkeys(whens))} then {text} end"
            )
        items.append(f"{text} as {name}")
        for key in inside:
            assert key.path is not None
            told.append(Told(key, _when(key, f"{name}[{paths.index(key.path) + 1}]")))
    told += [Told(key, _text(key, dialect, payload)) for key in keys if key.path is None]
    if not items:
        return Readable(relation, tuple(told))
    added = tuple(f"_fields_{number}" for number in range(len(items)))
    return Readable(f"(select *, {', '.join(items)} from {relation})", tuple(told), added)


def _whole(keys: Sequence[PersonKey], dialect: Dialect) -> str:
    """All that a row's keys stand in, as one text."""
    columns = dict.fromkeys(key.column for key in keys)
    texts = [f"cast({dialect.quoted(column)} as varchar)" for column in columns]
    return f"concat_ws(' ', {', '.join(texts)})"


def _text(key: PersonKey, dialect: Dialect, payload: str | None) -> str:
    text = f"cast({dialect.quoted(key.column)} as varchar)"
    if key.path is not None:
        text = dialect.field(text, key.path)
    elif payload is not None and payload != key.column and not key.column.startswith("_"):
        document = f"cast({dialect.quoted(payload)} as varchar)"
        text = f"coalesce({text}, {dialect.named(document, key.column)})"
    return _when(key, text)


def _when(key: PersonKey, text: str) -> str:
    return f"case when {key.when} then {text} end" if key.when else text


def in_table(ids: str) -> Membership:
    """Membership in a table of ids."""

    def is_known(kind: str, text: str) -> str:
        return f"coalesce({text} in (select id from {ids} where kind = '{kind}'), false)"

    return is_known


def belongs(rows: Readable, root: str, is_known: Membership) -> str:
    """A condition: whether a row belongs to a person whose ids are known.

    `root` is the kind of people's own ids.
    """
    told = rows.told
    named = [is_known(root, one.text) for one in told if one.kind == root]
    theirs = [is_known(one.kind, one.text) for one in told if one.kind != root]
    found = list(named)
    if theirs:
        through = f"({' or '.join(theirs)})"
        stranger = names_somebody_else(told, root, is_known)
        found.append(f"({through} and not {stranger})" if named else through)
    return f"({rows.where(' or '.join(found))})" if found else "false"


def names_somebody_else(told: Sequence[Told], root: str, is_known: Membership) -> str:
    """A condition: whether a row names a person whose id is not looked for."""
    found = []
    for one in told:
        if one.kind == root:
            said = f"try_cast({one.text} as bigint)" if one.key.whole_number else one.text
            found.append(f"({said} is not null and not {is_known(root, one.text)})")
    return f"({' or '.join(found)})" if found else "false"
