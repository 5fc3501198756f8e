"""Names that look like personal data: a guess that a contract confirms, or waives with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterator

from waypoint.contracts.documents import Entry
from waypoint.contracts.linting.finding import (
    ContractFile,
    Finding,
    custom,
    maps,
    with_inner_columns,
    words,
)

RULE = "personal data"
#: The custom property that says why a column with such a name is not personal.
WAIVER = "notPersonal"
#: Words for how open a column's values are, from what everybody may see on.
CLASSIFICATIONS = ("public", "internal", "restricted", "confidential", "sensitive", "pii")
#: Those that say that not everybody may see them.
_PROTECTED = CLASSIFICATIONS[2:]

# of the words of a name, the last ones say what it is: email_domain is no address
_PERSONAL = re.compile(
    r"(?:^|_)(?:"
    r"e_?mail(?:_address)?|(?:tele|mobile_|cell_)?phone(?:_(?:number|no))?|fax|msisdn"
    r"|(?:full|first|last|middle|given|family|maiden|nick|user|customer|person|guest|holder)_?name"
    r"|surname|forename|address(?:_line)?(?:_?\d)?|street|house_number|post_?code|postal_code"
    r"|zip(?:_code)?|birth_?(?:date|day|place)|date_of_birth|born(?:_on|_at)?|dob|gender|sex"
    r"|ethnicity|religion|nationality|ssn|social_security(?:_number)?|tax_id|passport(?:_number)?"
    r"|national_id|driving_licen[cs]e|iban|bic|account_number|card_number|card_holder|last_?4|cvv"
    r"|ip|ip_?v[46]|ip_address|mac_address|imei|device_fingerprint|password|secret|biometrics"
    r"|lat|lng|lon|long|latitude|longitude|geohash|gps|coordinates|location"
    r")$"
)


def looks_personal(name: str) -> bool:
    """Whether a column's name is one of those that hold personal data."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return _PERSONAL.search(snake) is not None


def personal_data(file: ContractFile) -> Iterator[Finding]:
    """Columns that should be classified and are not, and classifications that say nothing."""
    for column, parents in with_inner_columns(file.columns):
        name, said = words(column, "name"), words(column, "classification")
        if said and said not in CLASSIFICATIONS:
            yield file.finding(
                column,
                "classification",
                RULE,
                f"{name}: nobody knows what the classification {said!r} allows",
                f"write one of {', '.join(CLASSIFICATIONS)}",
            )
        around = (column, *parents)
        waivers = [waiver for one in around if (waiver := custom(one, WAIVER)) is not None]
        for waiver in waivers[:1] if custom(column, WAIVER) is not None else ():
            if not words(waiver, "value"):
                problem = f"{name}: {WAIVER} gives no reason"
                yield file.finding(waiver, "value", RULE, problem, "say in words why it is not")
        protected = any(words(one, "classification") in _PROTECTED for one in around)
        # yes or no about something personal is not itself that thing
        if (
            looks_personal(name)
            and words(column, "logicalType") != "boolean"
            and not protected
            and not waivers
        ):
            yield file.finding(
                column,
                "name",
                RULE,
                f"{name} looks like personal data and is not classified",
                f"add `classification: pii`, or a customProperty {WAIVER} with the reason",
            )
        if said not in _PROTECTED and _holds_personal(column):
            yield file.finding(
                column,
                "name",
                RULE,
                f"{name} holds a field that is classified and is not classified itself",
                "add the field's classification to what it stands in",
            )


def _holds_personal(column: Entry) -> bool:
    fields = maps(column, "properties")
    items = column.get("items")
    if isinstance(items, Entry):
        fields = fields + maps(items, "properties")
    return any(words(one, "classification") in _PROTECTED for one, _ in with_inner_columns(fields))
