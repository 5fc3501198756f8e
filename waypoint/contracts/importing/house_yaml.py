"""YAML as the contracts here are written: block style, long texts folded, short lists on a line."""

from __future__ import annotations

from typing import Any

import yaml

_WIDTH = 88  # a line may go past it by the length of a word
#: Longer texts are folded onto lines of their own; with its key and indentation, such a text fits.
#: What needs quotes would be broken within them.
_LONGEST_ON_A_LINE = 76
_LONGEST_IN_QUOTES = 60


class OneLine(list[Any]):
    """A list that is written `[a, b]`."""


def house_yaml(document: Any) -> str:
    """The document as text; what it holds reads back the same."""
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True, indent=2
    )


class _Dumper(yaml.SafeDumper):
    """Indented lists, keys in the order given, and no aliases."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    words = " ".join(value.split())
    longest = _LONGEST_IN_QUOTES if ": " in value or " #" in value else _LONGEST_ON_A_LINE
    folds = len(value) > longest and words == value
    style = ">" if folds else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _one_line(dumper: yaml.SafeDumper, value: OneLine) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(OneLine, _one_line)
