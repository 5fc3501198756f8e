"""Sources are data: what stands in sources.yml, with variables from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingestion.sources import read_sources
from waypoint.errors import UnusableInput
from waypoint.project import Project


def sources(root: Path, text: str, **environment: str):
    (root / "ingestion").mkdir()
    (root / "ingestion" / "sources.yml").write_text(text)
    return read_sources(Project(root, root / "var"), environment)


def test_variables_are_filled_in_however_deep_they_stand(tmp_path):
    text = "shop: {kind: rest, url: '${HOST}/v1', lists: [{token: '${TOKEN:-none}'}]}"

    (shop,) = sources(tmp_path, text, HOST="https://shop")

    assert shop.connected
    assert shop.settings == {"url": "https://shop/v1", "lists": [{"token": "none"}]}


def test_a_source_without_its_variables_is_not_connected(tmp_path):
    (shop,) = sources(tmp_path, "shop: {kind: postgres, dsn: '${A}${B}${A}', x: '${C:-}'}", B="")

    assert not shop.connected
    assert shop.missing == ("A", "B")


def test_folders_are_below_the_project_or_in_its_inbox(tmp_path):
    text = "cards: {kind: files, folder: in/cards, table: a}\nslips: {kind: dumps}"

    cards, slips = sources(tmp_path, text)

    assert cards.settings["folder"] == str(tmp_path / "in/cards")
    assert slips.settings["folder"] == str(tmp_path / "var/inbox/slips")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shop: {kind: carrier_pigeon}", "unknown kind 'carrier_pigeon'"),
        ("shop: {url: x}", "shop: has no kind"),
        ("- shop", "expected `<name>"),
        ("shop: {kind: [", "not readable as YAML"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path, text, words):
    with pytest.raises(UnusableInput, match=words):
        sources(tmp_path, text)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(UnusableInput, match=r"sources\.yml is not there"):
        read_sources(Project(tmp_path, tmp_path / "var"))
