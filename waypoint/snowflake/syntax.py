"""What the tokens of a query show: functions and operators of DuckDB alone, wrong quotes, types.

Tokens, because a parser that knows many dialects takes what Snowflake does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import Token, TokenType

from waypoint.snowflake.documented import INSTEAD, TYPES, functions, words
from waypoint.snowflake.statement import Remark

#: Words that a parenthesis may follow without being a function's.
_NO_FUNCTIONS = words(
    """select from where and or not in on by having qualify when then else case over as union all
    except intersect minus exists values using join distinct between is lateral table limit
    group sets cube rollup pivot unpivot match_condition with any some escape inner cross full
    outer natural interval end recursive offset fetch lateral"""
)
_OPERATORS = {
    TokenType.ARROW: ("->", "the macro json_text"),
    TokenType.DARROW: ("->>", "the macro json_text"),
    TokenType.HASH_ARROW: ("#>", "the macro json_text"),
    TokenType.DHASH_ARROW: ("#>>", "the macro json_text"),
    TokenType.TILDE: ("~", "regexp_like, or the macro matches_pattern"),
    TokenType.RLIKE: ("~", "regexp_like, or the macro matches_pattern"),
    TokenType.DSTAR: ("**", "power(x, y)"),
    TokenType.CARET: ("^", "power(x, y)"),
    TokenType.AMP: ("&", "bitand(x, y)"),
    TokenType.PIPE: ("|", "bitor(x, y)"),
    TokenType.DAMP: ("&&", "arrays_overlap(x, y)"),
    TokenType.AT_GT: ("@>", "array_contains(x, y)"),
    TokenType.LT_AT: ("<@", "array_contains(x, y)"),
    TokenType.GLOB: ("glob", "like or regexp_like"),
    TokenType.SIMILAR_TO: ("similar to", "regexp_like, or the macro matches_pattern"),
    TokenType.SEMI: ("semi join", "where exists (...)"),
    TokenType.ANTI: ("anti join", "where not exists (...)"),
    TokenType.COLON_EQ: (":=", "the alias behind: x as name"),
}
_PAIRS = {
    ("filter", "("): ("filter (where ...)", "sum(case when ... then ... end)"),
    ("distinct", "on"): (
        "distinct on",
        "qualify row_number() over (partition by ... order by ...) = 1",
    ),
    ("using", "sample"): ("using sample", "no sample, or the table's own sample (...)"),
    ("positional", "join"): ("positional join", "a join on a row number"),
    ("semi", "join"): ("semi join", "where exists (...)"),
    ("anti", "join"): ("anti join", "where not exists (...)"),
    ("exclude", "current"): ("a window frame with exclude", "a frame without it"),
    ("exclude", "ties"): ("a window frame with exclude", "a frame without it"),
    ("groups", "between"): ("a window frame of groups", "rows between ..."),
    ("(", "from"): ("from before select", "select ... from ..."),
    ("similar", "to"): ("similar to", "regexp_like, or the macro matches_pattern"),
}
_NAMED = r"[a-z_]\w*"
_INDEXED = r"""\[(?:\d+|"[^"\]]+"|'[^'\]]+')\]"""
_PATH = re.compile(rf"(?:{_NAMED}|{_INDEXED})(?:\.{_NAMED}|{_INDEXED})*", re.I | re.A)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|\$\$.*?\$\$|--[^\n]*|/\*.*?\*/", re.S)


def remarks(sql: str, tokens: Sequence[Token]) -> Iterator[Remark]:
    """What the text of a query and its tokens show."""
    yield from _comments_that_divide(sql)
    if tokens and tokens[0].text.lower() not in ("select", "with", "("):
        yield _refused(f"{tokens[0].text} ...", "select ... from ...", tokens[0])
    yield from _values_without_frame(tokens)
    yield from _paths(tokens)
    steps = _steps(tokens)
    for at, token in enumerate(tokens):
        if at in steps:
            continue
        before = tokens[at - 1] if at else None
        after = tokens[at + 1] if at + 1 < len(tokens) else None
        yield from _of_token(token, before, after)


def _steps(tokens: Sequence[Token]) -> frozenset[int]:
    """Where the steps of a `with` are named whose columns are named too: `step (a, b) as (...)`."""
    opened: list[int] = []
    found = set()
    for at, token in enumerate(tokens):
        if token.token_type is TokenType.L_PAREN:
            opened.append(at)
        elif token.token_type is TokenType.R_PAREN and opened:
            start = opened.pop()
            behind = [t.token_type for t in tokens[at + 1 : at + 3]]
            if behind == [TokenType.ALIAS, TokenType.L_PAREN]:
                found.add(start - 1)
    return frozenset(found)


def _values_without_frame(tokens: Sequence[Token]) -> Iterator[Remark]:
    """`last_value(x) over (... order by y)`; the parser would fill in Snowflake's own frame."""
    for at, token in enumerate(tokens):
        if token.text.lower() in ("first_value", "last_value", "nth_value"):
            window = _window_behind(tokens, at + 1)
            if "order by" in window and not {"rows", "range", "groups"} & window:
                yield Remark(
                    "determinism",
                    f"{token.text.lower()} without a frame: Snowflake looks at the whole partition,"
                    " DuckDB up to the row",
                    "write the frame: rows between unbounded preceding and ...",
                    token.line,
                )


def _window_behind(tokens: Sequence[Token], start: int) -> set[str]:
    """The words of the window of a function whose parenthesis opens at `start`."""
    behind = _closing(tokens, start) + 1
    while behind < len(tokens) and tokens[behind].text.lower() in ("ignore", "respect", "nulls"):
        behind += 1
    if behind >= len(tokens) or tokens[behind].text.lower() != "over":
        return set()
    return {t.text.lower() for t in tokens[behind + 1 : _closing(tokens, behind + 1)]}


def _paths(tokens: Sequence[Token]) -> Iterator[Remark]:
    """Paths into JSON; the parser, and with it a stand-in, quotes what Snowflake has quoted."""
    for at, token in enumerate(tokens):
        if token.text.lower() != "get_path":
            continue
        path = tokens[_closing(tokens, at + 1) - 1]
        if path.token_type is TokenType.STRING and not _PATH.fullmatch(path.text):
            yield Remark(
                "path",
                f"'{path.text}' is no path of Snowflake: a.b[0], with other names in quotes",
                """write a["$b"], or the macro json_text""",
                path.line,
            )


def _closing(tokens: Sequence[Token], start: int) -> int:
    """Where the parenthesis closes that opens at `start`; `start` where none opens."""
    depth = 0
    for at in range(start, len(tokens)):
        kind = tokens[at].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth == 0:
            return at
    return len(tokens) - 1


def _comments_that_divide(sql: str) -> Iterator[Remark]:
    """`//` begins a comment on Snowflake: the rest of the line would be gone."""
    bare = _QUOTED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), sql)
    for number, line in enumerate(bare.split("\n"), 1):
        if "//" in line:
            yield Remark(
                "syntax",
                "// begins a comment on Snowflake, and divides on DuckDB",
                "write floor(a / cast(b as double)), or -- for a comment",
                number,
            )


def _of_token(token: Token, before: Token | None, after: Token | None) -> Iterator[Remark]:
    kind, word = token.token_type, token.text.lower()
    previous = before.text.lower() if before and before.token_type != TokenType.STRING else ""
    following = after.text.lower() if after and after.token_type != TokenType.STRING else ""
    if kind in (TokenType.STRING, TokenType.RAW_STRING, TokenType.NATIONAL_STRING):
        if previous == "from" or previous == "join":
            yield _refused(f"a file as a table, '{token.text}'", "a source that is landed", token)
        return
    if kind is TokenType.IDENTIFIER:
        if token.text != token.text.upper():
            yield Remark(
                "quotes",
                f'"{token.text}" in quotes is another name than {word}, which is kept in capitals',
                f"write {word} without quotes",
                token.line,
            )
        return
    if kind in _OPERATORS and (kind is not TokenType.RLIKE or word == "~"):
        sign, instead = _OPERATORS[kind]
        yield _refused(sign, instead, token)
    elif (word, following) in _PAIRS and (word != "filter" or previous == ")"):
        yield _refused(*_PAIRS[(word, following)], token)
    elif kind is TokenType.INTERVAL and after and after.token_type is not TokenType.STRING:
        yield _refused("an interval without quotes", "{{ dbt.dateadd(...) }}", token)
    elif kind is TokenType.COMMA and following in (",", "from", ")"):
        yield Remark("syntax", "a comma too many", "take it out", token.line)
    elif kind is TokenType.DCOLON:
        yield from _cast_by_colons(token, before, after)
    elif previous == "as" and following == "[" and word in TYPES:
        yield _refused(f"the type {word}[]", "array", token)
    elif following == "(" and _is_word(token):
        yield from _call(token, previous)


def _cast_by_colons(token: Token, before: Token | None, after: Token | None) -> Iterator[Remark]:
    name = after.text if after else ""
    if before is not None and before.token_type is TokenType.NUMBER:
        yield Remark(
            "cast",
            f":: binds before the sign: -{before.text}::{name} casts {before.text}",
            f"write cast({before.text} as {name})",
            token.line,
        )


def _call(token: Token, previous: str) -> Iterator[Remark]:
    name = token.text.lower()
    if previous in ("as", "::", "into", "table") or name in _NO_FUNCTIONS or name in functions():
        return
    if name in TYPES and previous in ("(", ","):
        return
    instead = INSTEAD.get(name)
    yield Remark(
        "function",
        f"Snowflake documents no function {name}",
        f"write {instead}" if instead else "use one that it documents, or a dispatched macro",
        token.line,
    )


def _is_word(token: Token) -> bool:
    return token.text[:1].isalpha() or token.text[:1] == "_"


def _refused(what: str, instead: str, token: Token) -> Remark:
    return Remark("syntax", f"Snowflake has no {what}", f"write {instead}", token.line)
