"""What the types of a query show: drift from the contract, rounding, casts that nobody wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import exp

from waypoint.snowflake.meaning import line_of
from waypoint.snowflake.statement import Remark

#: What functions give that the parser does not know.
RETURNS = {"ST_GEOHASH": "varchar", "ST_MAKEPOINT": "geography"}

_T = exp.DataType.Type
_INTEGERS = frozenset({_T.BIGINT, _T.INT, _T.SMALLINT, _T.TINYINT, _T.MEDIUMINT})
_TEXTS = frozenset({_T.VARCHAR, _T.TEXT, _T.CHAR, _T.NCHAR, _T.NVARCHAR})
_FLOATS = frozenset({_T.DOUBLE, _T.FLOAT})
_NAIVE = frozenset({_T.TIMESTAMP, _T.TIMESTAMPNTZ, _T.DATETIME})
_ZONED = frozenset({_T.TIMESTAMPTZ, _T.TIMESTAMPLTZ})
_ROUNDS = (exp.Round, exp.Floor, exp.Ceil, exp.Trunc)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


@dataclass(frozen=True)
class Kind:
    """A type as far as Snowflake tells them apart; all its integers are decimals without scale."""

    name: str  # number, double, text, boolean, date, timestamp, timestamp with zone, other, unknown
    scale: int = 0
    precision: int = 38

    def __str__(self) -> str:
        if self.name != "number":
            return self.name
        return f"decimal({self.precision},{self.scale})" if self.scale else "a whole number"


_UNKNOWN = Kind("unknown")


def kind_of(type_: exp.DataType | None) -> Kind:
    """The kind of an annotated type; `unknown` where it could not be told."""
    if type_ is None or type_.this in (_T.UNKNOWN, _T.NULL):
        return _UNKNOWN
    if type_.this in _INTEGERS:
        return Kind("number")
    if type_.this is _T.DECIMAL:
        numbers = [int(p.name) for p in type_.expressions if p.name.isdigit()]
        precision, scale = (*numbers, 38, 0)[:2] if len(numbers) != 1 else (numbers[0], 0)
        return Kind("number", scale, precision)
    for names, kind in (
        (_TEXTS, "text"),
        (_FLOATS, "double"),
        (_NAIVE, "timestamp"),
        (_ZONED, "timestamp with zone"),
        ({_T.BOOLEAN}, "boolean"),
        ({_T.DATE}, "date"),
    ):
        if type_.this in names:
            return Kind(kind)
    return Kind("other")


def promised(tree: exp.Query, columns: Mapping[str, str]) -> Iterator[Remark]:
    """How the columns of a typed query differ from what the contract promises.

    Args:
        tree: qualified and annotated.
        columns: the contract's names and types.
    """
    given: dict[str, exp.Expr] = {}
    for item in tree.selects:
        name = item.alias_or_name.lower()
        if name in given:
            yield Remark(
                "columns", f"{name} is given twice", "give each column once", line_of(item)
            )
        given[name] = item
    for name in given.keys() - columns.keys():
        yield Remark(
            "columns",
            f"{name} is no column of the contract",
            "describe it there, or leave it out",
            line_of(given[name]),
        )
    for name in columns.keys() - given.keys():
        yield Remark(
            "columns",
            f"{name}, which the contract has, is not given",
            "select it, cast to its type",
        )
    for name, declared in columns.items():
        if name in given:
            yield from _drift(name, given[name], declared)


def _drift(name: str, item: exp.Expr, declared: str) -> Iterator[Remark]:
    wanted = kind_of(exp.DataType.build(declared, dialect="snowflake"))
    got = kind_of(item.type)
    mend = f"write cast(... as {declared})"
    where = line_of(item)
    if got == wanted or (got.name == wanted.name and got.name != "number"):
        return
    if got.name == "unknown":
        problem = f"{name}: what type it has cannot be told; the contract says {declared}"
        yield Remark("type", problem, mend, where)
        return
    if wanted.name == "number" and got.name in ("number", "double"):
        if got.name == "double" or got.scale > wanted.scale:
            problem = f"{name} is {got} and is rounded to {declared} without anybody saying so"
            yield Remark("rounding", problem, f"round it, and {mend}", where)
        elif wanted.scale or got.scale:
            problem = f"{name} is {got}; the contract says {declared}"
            yield Remark("type", problem, mend, where)
        return
    yield Remark("type", f"{name} is {got}; the contract says {declared}", mend, where)


def meant(tree: exp.Expr) -> Iterator[Remark]:
    """Operations whose types Snowflake refuses, or computes otherwise than DuckDB."""
    rounded = {
        alias.alias.upper() for alias in tree.find_all(exp.Alias) if isinstance(alias.this, _ROUNDS)
    }
    for node in tree.walk():
        if isinstance(node, exp.Div):
            yield from _division(node)
        elif isinstance(node, exp.Add | exp.Sub | exp.Mul | exp.Mod):
            yield from _arithmetic(node)
        elif isinstance(node, _COMPARISONS):
            yield from _comparison(node, node.this, node.expression)
        elif isinstance(node, exp.Sum | exp.Avg):
            yield from _aggregate(node)
        elif isinstance(node, exp.Cast):
            yield from _cast(node, rounded)
        elif isinstance(node, exp.Case):
            values = [branch.args.get("true") for branch in node.args.get("ifs", ())]
            yield from _mixed(node, "case", [*values, node.args.get("default")])
        elif isinstance(node, exp.Coalesce):
            yield from _mixed(node, "coalesce", [node.this, *node.expressions])
        elif isinstance(node, exp.SetOperation):
            yield from _set_operation(node)
        elif isinstance(node, exp.In):
            for item in node.expressions:
                yield from _comparison(node, node.this, item)


def _division(node: exp.Div) -> Iterator[Remark]:
    left, right = kind_of(node.this.type), kind_of(node.expression.type)
    if left.name == right.name == "number":
        yield Remark(
            "division",
            "a division of exact numbers: Snowflake keeps six more digits, DuckDB a double",
            "cast one side to double, or both and the result to the decimal that is meant",
            line_of(node),
        )


def _arithmetic(node: exp.Binary) -> Iterator[Remark]:
    left, right = kind_of(node.this.type), kind_of(node.expression.type)
    names = {left.name, right.name}
    if isinstance(node.expression, exp.Interval) or isinstance(node.this, exp.Interval):
        return
    if "text" in names and names & {"number", "double", "text", "date", "timestamp"}:
        yield Remark(
            "cast",
            f"{node.key} of a text: Snowflake makes a number of it, or fails where it is none",
            "cast the text, or join texts with ||",
            line_of(node),
        )
    elif isinstance(node, exp.Add | exp.Sub) and "timestamp" in names and "unknown" not in names:
        yield Remark(
            "cast",
            "Snowflake neither adds to timestamps nor subtracts them by + and -",
            "write {{ dbt.dateadd(...) }} or {{ dbt.datediff(...) }}",
            line_of(node),
        )


def _comparison(node: exp.Expr, left: exp.Expr, right: exp.Expr) -> Iterator[Remark]:
    if isinstance(right, exp.Query | exp.Any | exp.All):
        return  # with rows of a subquery
    kinds = [kind_of(left.type), kind_of(right.type)]
    names = {kind.name for kind in kinds}
    if len(names) < 2 or "unknown" in names or "other" in names:
        return
    literal = next((side for side in (left, right) if _is_text_literal(side)), None)
    other = next((k.name for k in kinds if k.name != "text"), "")
    if literal is not None and other in ("date", "timestamp", "timestamp with zone"):
        return  # a date in quotes is read alike by both
    if "text" in names or (names & {"boolean"}):
        yield Remark(
            "cast",
            f"{kinds[0]} is compared with {kinds[1]}",
            "cast one of them: what is cast unsaid fails on the first value that does not fit",
            line_of(node),
        )
    elif "timestamp with zone" in names:
        yield Remark(
            "cast",
            f"{kinds[0]} is compared with {kinds[1]}: the session's zone decides",
            "convert to UTC first, with the macros of macros/time",
            line_of(node),
        )


def _aggregate(node: exp.Expr) -> Iterator[Remark]:
    kind = kind_of(node.this.type).name
    if kind in ("boolean", "text", "date", "timestamp"):
        yield Remark(
            "cast",
            f"{node.key} of a {kind}: Snowflake refuses it, or casts it unsaid",
            "write sum(case when ... then 1 else 0 end), or cast it",
            line_of(node),
        )


def _cast(node: exp.Cast, rounded: set[str]) -> Iterator[Remark]:
    if isinstance(node, exp.TryCast):
        if kind_of(node.this.type).name not in ("text", "unknown"):
            yield Remark(
                "cast", "try_cast takes texts only on Snowflake", "write cast(...)", line_of(node)
            )
        return
    to, value = kind_of(node.to), kind_of(node.this.type)
    if to.name != "number" or to.scale:
        return
    if value.name == "double" or (value.name == "number" and value.scale):
        was_rounded = isinstance(node.this, exp.Column) and node.this.name.upper() in rounded
        if not was_rounded and node.this.find(*_ROUNDS) is None:
            yield Remark(
                "rounding",
                f"{value} cast to a whole number: halves are rounded differently",
                "say how: round(...), floor(...) or ceil(...)",
                line_of(node),
            )


def _mixed(node: exp.Expr, what: str, values: list[exp.Expr | None]) -> Iterator[Remark]:
    names = {kind_of(value.type).name for value in values if value is not None}
    names -= {"unknown", "other"}
    if "text" in names and len(names) > 1:
        others = ", ".join(sorted(names - {"text"}))
        literal_times = {"date", "timestamp"} >= names - {"text"} and all(
            _is_text_literal(v) for v in values if v is not None and kind_of(v.type).name == "text"
        )
        if not literal_times:
            yield Remark(
                "cast", f"{what} gives text or {others}", "cast to one type", line_of(node)
            )


def _set_operation(node: exp.SetOperation) -> Iterator[Remark]:
    left, right = node.left.unnest(), node.right.unnest()
    if not isinstance(left, exp.Query) or not isinstance(right, exp.Query):
        return
    if len(left.selects) != len(right.selects):
        yield Remark(
            "columns", "the parts of a union have different numbers of columns", "give the same"
        )
    for one, two in zip(left.selects, right.selects, strict=False):
        kinds = kind_of(one.type), kind_of(two.type)
        names = {kind.name for kind in kinds}
        if names & {"unknown", "other"} or names == {"number", "double"}:
            continue
        if len(names) > 1:
            yield Remark(
                "cast",
                f"{one.alias_or_name.lower()} is {kinds[0]} in one part of a union and"
                f" {kinds[1]} in another",
                "cast both to one type",
                line_of(two) or line_of(one),
            )


def _is_text_literal(node: exp.Expr) -> bool:
    return isinstance(node, exp.Literal) and node.is_string
