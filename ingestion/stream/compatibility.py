"""Whether readers of a new schema can read what was written under the old one (BACKWARD).

The same rule as a registry's, for where there is none, and before one is asked. Both kinds of
schema are those that contracts are made into: JSON Schemas that are closed, Avro records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

#: What Avro lets a reader take for what was written.
_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_SAME = ("pattern", "format", "const", "multipleOf")


def json_problems(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Why a document that is valid under `old` may not be so under `new`; nothing: it always is."""
    if new is True or new == {}:
        return
    old_types, new_types = _types(old), _types(new)
    for kind in sorted(old_types - new_types):
        if not (kind == "integer" and "number" in new_types):
            yield f"{where or 'the message'}: {kind} is allowed no more"
    if new.get("enum") is not None:
        missing = [v for v in old.get("enum") or ["anything"] if v not in new["enum"]]
        if missing:
            yield f"{where}: {', '.join(map(str, missing))} is allowed no more"
    yield from _bound_problems(old, new, where)
    for word in _SAME:
        if word in new and new[word] != old.get(word):
            yield f"{where}: {word} is now {new[word]!r}, not {old.get(word)!r}"
    if "object" in old_types & new_types:
        yield from _object_problems(old, new, where)
    if "array" in old_types & new_types and "items" in new:
        yield from json_problems(old.get("items", {}), new["items"], f"{where}[]")


def _object_problems(old: Schema, new: Schema, where: str) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    inside = f"{where}." if where else ""
    for name in new.get("required", []):
        if name not in old.get("required", []):
            yield f"{inside}{name}: is required now"
    closed = new.get("additionalProperties", True) is False
    for name, field in before.items():
        if name in after:
            yield from json_problems(field, after[name], f"{inside}{name}")
        elif closed:
            yield f"{inside}{name}: is gone"
    if old.get("additionalProperties", True) is not False:
        if closed:
            yield f"{where or 'the message'}: fields beside those described are allowed no more"
        else:
            for name in after.keys() - before.keys():
                if after[name] is not True and set(after[name]) - {"description"}:
                    yield f"{inside}{name}: could be anything before"


def _bound_problems(old: Schema, new: Schema, where: str) -> Iterator[str]:
    for words, tighter in ((_LOWER, True), (_UPPER, False)):
        for word in words:
            if word not in new:
                continue
            # an exclusive bound lets pass less than the same inclusive one
            partner = {"minimum": "exclusiveMinimum", "maximum": "exclusiveMaximum"}.get(word, word)
            found = [old[name] for name in (word, partner) if name in old]
            if not any(bound >= new[word] if tighter else bound <= new[word] for bound in found):
                said = f"{found[0]}" if found else "none"
                yield f"{where}: {word} is now {new[word]}, and was {said}"


def _types(schema: Any) -> set[str]:
    if schema is True or "type" not in schema:
        return {"null", "boolean", "integer", "number", "string", "array", "object"}
    kinds = schema["type"]
    found = {kinds} if isinstance(kinds, str) else set(kinds)
    return found | {"integer"} if "number" in found else found


def avro_problems(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Why a reader with the schema `new` may fail on what was written with `old`."""
    if isinstance(old, list):
        for one in old:
            yield from avro_problems(one, new, where)
        return
    if isinstance(new, list):
        found = [list(avro_problems(old, one, where)) for one in new]
        if all(found):
            # what is nearest to it says best what is wrong
            yield from min(found, key=len)
        return
    was, now = _avro_type(old), _avro_type(new)
    if was != now:
        if now not in _PROMOTIONS.get(was, set()):
            yield f"{where or 'the message'}: is {now} now, and was {was}"
        return
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return
    if was == "bytes" and "decimal" in (old.get("logicalType"), new.get("logicalType")):
        digits = ("logicalType", "precision", "scale")
        if any(old.get(word) != new.get(word) for word in digits):
            yield f"{where}: has other digits now"
    elif was in ("record", "enum", "fixed") and old.get("name") not in (
        new.get("name"),
        *new.get("aliases", []),
    ):
        yield f"{where or 'the message'}: is called {new.get('name')} now"
    if was == "record":
        yield from _record_problems(old, new, where)
    elif was == "enum" and "default" not in new:
        for symbol in old["symbols"]:
            if symbol not in new["symbols"]:
                yield f"{where}: {symbol} is allowed no more"
    elif was == "array":
        yield from avro_problems(old["items"], new["items"], f"{where}[]")
    elif was == "map":
        yield from avro_problems(old["values"], new["values"], f"{where}{{}}")
    elif was == "fixed" and old["size"] != new["size"]:
        yield f"{where}: has another length now"


def _record_problems(old: Schema, new: Schema, where: str) -> Iterator[str]:
    before = {field["name"]: field for field in old["fields"]}
    inside = f"{where}." if where else ""
    for field in new["fields"]:
        names = [field["name"], *field.get("aliases", [])]
        written = next((before[name] for name in names if name in before), None)
        if written is not None:
            yield from avro_problems(written["type"], field["type"], f"{inside}{field['name']}")
        elif "default" not in field:
            yield f"{inside}{field['name']}: is required now"


def _avro_type(schema: Any) -> str:
    if isinstance(schema, Mapping):
        inner = schema["type"]
        return _avro_type(inner) if isinstance(inner, Mapping) else str(inner)
    return str(schema)
